"""The worker put together: settings, database, sources and what runs them."""

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.engine import URL

from shared.db import writer_engine
from shared.embedded import EmbeddedPostgres, project_folder
from shared.records import Page
from shared.settings import Settings
from worker import pipeline
from worker.http import Http
from worker.locks import worker_name
from worker.migrate import require_schema
from worker.pipeline import Options, Progress, Result
from worker.sources import REGISTRY
from worker.sources.base import Source
from worker.sources.csv import CsvFiles
from worker.sources.json_api import JsonApi


@contextmanager
def database(settings: Settings) -> Iterator[URL]:
    """Give the owner's URL of the database; where none is configured, of the embedded one.

    That one runs at least as long as the `with` block.
    """
    if settings.database_url is not None:
        yield settings.database_url
        return
    with EmbeddedPostgres(project_folder()).running() as server:
        yield server.url


class Worker:
    """One process's worker on one database; what is asked of a source is paced across its runs."""

    def __init__(self, settings: Settings, url: URL) -> None:
        self.settings = settings
        self.url = url
        self.stop = threading.Event()
        self.engine: Engine = writer_engine(url, worker_name())
        self._fetches: dict[str, Http] = {}

    def require_schema(self) -> None:
        """Check that the database's schema is the one that this code was written for.

        Raises:
            SchemaVersionError: it is another.
            DatabaseUnavailableError: the database cannot be reached.
        """
        require_schema(self.url)

    def source(self, name: str) -> Source:
        """Make a source as it is configured."""
        return REGISTRY[name].from_settings(self.settings)

    def run(self, name: str, progress: Progress | None = None) -> Result:
        """Run a source once; `pipeline.run` says what that raises."""
        source = self.source(name)
        return pipeline.run(self.engine, source, self._fetch(source), self._options(progress))

    def load_saved(
        self,
        name: str,
        files: Sequence[Path],
        declaration: Path | None = None,
        progress: Progress | None = None,
    ) -> Result:
        """Load saved responses, or CSV files, in the order given, as one run.

        A `declaration` says what the CSV files do not say themselves.
        """
        source = self.source(name)
        if declaration is not None and isinstance(source, CsvFiles):
            source = dataclasses.replace(source, declaration=declaration)

        def pages() -> Iterator[Page]:
            for file in files:
                yield from source.saved_pages(file)

        return pipeline.load_saved(self.engine, source, pages, self._options(progress))

    def _fetch(self, source: Source) -> Http | None:
        """Give the source its way to the network, always the same; None where it reads files."""
        if not isinstance(source, JsonApi):
            return None
        if source.name not in self._fetches:
            self._fetches[source.name] = Http(source.name, source.requests_per_minute, self.stop)
        return self._fetches[source.name]

    def _options(self, progress: Progress | None) -> Options:
        options = Options(
            batch_size=self.settings.batch_size,
            fail_after=self.settings.fail_after_n_records,
            stop=self.stop,
        )
        return dataclasses.replace(options, progress=progress) if progress else options
