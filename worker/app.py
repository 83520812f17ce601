"""The worker put together: settings, database, sources and what runs them."""

import dataclasses
import functools
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog
from sqlalchemy import Engine
from sqlalchemy.engine import URL

from shared.embedded.server import EmbeddedPostgres, project_folder
from shared.environment import IDENTITY_FILES
from shared.model.catalogue import EXPECTATIONS, LISTING_SOURCES, SOURCES
from shared.model.records import Page
from shared.settings import Settings
from worker.curation import sample
from worker.curation.crosswalk import apply_crosswalk, read_crosswalk
from worker.database.engine import reachable, writer_engine
from worker.database.locks import worker_name
from worker.fetch.budget import Budget, Usage, read_usage
from worker.fetch.client import Http
from worker.identity.resolver.evidence import Ref
from worker.ingest import journal, pipeline
from worker.ingest.batch.rejects import OpenRejects
from worker.ingest.faults import Faults
from worker.ingest.metrics import Metrics
from worker.ingest.options import Options, Progress, Result
from worker.maintenance import retry
from worker.maintenance.migrate import require_schema
from worker.sources import REGISTRY
from worker.sources.base import Source
from worker.sources.csv import CsvFiles
from worker.sources.json_api import JsonApi

log = structlog.get_logger(__name__)


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
    """One process's worker on one database."""

    def __init__(self, settings: Settings, url: URL) -> None:
        self.settings = settings
        self.url = url
        self.stop = threading.Event()
        self.metrics = Metrics()
        self.engine: Engine = writer_engine(url, worker_name())
        self.faults = Faults(settings.fail_after_n_records, settings.fault)
        self._sample_is_over = False
        self._settling = threading.Lock()

    def require_schema(self) -> None:
        """Check that the database's schema is the one that this code was written for.

        Raises:
            SchemaVersionError: it is another.
            DatabaseUnavailableError: the database cannot be reached.
        """
        require_schema(self.url)

    def read_crosswalk(self) -> Mapping[Ref, str]:
        """Read the files in `IDENTITY_PATH`.

        Raises:
            ConfigurationError: a file is wrong, and the message names its line; or the folder is
                not there.
        """
        folder = Path(self.settings.identity_path)
        if folder == IDENTITY_FILES and not folder.parent.exists():
            # An installed wheel has nothing of data/, and no crosswalk unless it is given one.
            return {}
        return read_crosswalk(folder)

    def apply_crosswalk(self) -> None:
        """Bring the database up to what the files in `IDENTITY_PATH` say of listings.

        Raises:
            ConfigurationError: as `read_crosswalk` says. Nothing changed.
            DatabaseUnavailableError: the database went away.
        """
        wanted = self.read_crosswalk()
        with reachable(), self.engine.begin() as conn:
            changed = apply_crosswalk(conn, wanted)
        if changed:
            log.info("the crosswalk changed", rows=changed)

    def source(self, name: str) -> Source:
        """Make a source as it is configured; CSV files without the sample where that is over."""
        source = REGISTRY[name].from_settings(self.settings)
        if self._sample_is_over and isinstance(source, CsvFiles):
            return source.without_sample()
        return source

    def provider_of(self, name: str) -> str:
        """Name whose pace and budget a source shares: its provider's, or its own."""
        source = self.source(name)
        return source.provider if isinstance(source, JsonApi) else name

    def run(self, name: str, progress: Progress | None = None) -> Result:
        """Run a source once; `pipeline.run` says what that raises."""
        source = self.source(name)
        with self.metrics.running(name), self._network(source) as fetch:
            result = pipeline.run(self.engine, source, fetch, self._options(progress))
        self.metrics.ended(name, result.ending)
        return result

    def run_if_due(self, name: str, progress: Progress | None = None) -> Result | None:
        """Run a source that has its turn now, as `run` does; `runs.read_due` says which has."""
        if EXPECTATIONS[name].read_every:
            with reachable(), self.engine.connect() as conn:
                if not journal.read_due(conn, [name]):
                    return None
        return self.run(name, progress)

    def take_turn(self, name: str, progress: Progress | None = None) -> Result | None:
        """Run a source in the loop, as `run_if_due` does; then settle the sample."""
        result = self.run_if_due(name, progress)
        if result is not None and name in LISTING_SOURCES:
            self.settle_sample()
        return result

    def settle_sample(self) -> None:
        """Retire the sample's listings once a provider has been read; no longer read it then.

        Where `CSV_PATH` names the sample, a person wants it: what was retired comes back.
        """
        try:
            is_chosen = CsvFiles.from_settings(self.settings).reads_sample_by_choice()
        except OSError:  # the source's own run reports it, with its path
            return
        with self._settling, reachable(), self.engine.begin() as conn:
            self._sample_is_over = sample.is_over(conn)
            settled = sample.settle(conn, is_chosen=is_chosen)
        if settled.retired or settled.returned:
            log.info(
                "the sample's listings changed", retired=settled.retired, returned=settled.returned
            )

    def read_usage(self, names: Sequence[str] = SOURCES) -> list[Usage]:
        """Read what the providers that are asked over the network used of the month's budget."""
        sources = [source for name in names if isinstance(source := self.source(name), JsonApi)]
        with reachable(), self.engine.connect() as conn:
            return read_usage(conn, sources)

    def warn_of_budgets(self, names: Sequence[str]) -> None:
        """Warn of each source that the month's budget cannot carry at the configured interval.

        It only says so: the source is read until the budget is used up.
        """
        interval = self.settings.run_interval_seconds
        for usage in self.read_usage(names):
            if advice := usage.shortfall(interval):
                log.warning(
                    "the request budget does not carry the interval",
                    source=usage.source,
                    advice=advice,
                    interval_seconds=interval,
                )

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

        def pages(reader: Source) -> Iterator[Page]:
            if declaration is not None and isinstance(reader, CsvFiles):
                reader = reader.declared_for(declaration, files)
            for file in files:
                yield from reader.saved_pages(file)

        result = pipeline.load_saved(self.engine, source, pages, self._options(progress))
        if declaration is None or not isinstance(source, CsvFiles) or not result.succeeded:
            return result
        undeclared = self._say_undeclared(source, files, declaration)
        return dataclasses.replace(result, notes=[*result.notes, *undeclared])

    def _say_undeclared(
        self, source: CsvFiles, files: Sequence[Path], declaration: Path
    ) -> Iterator[str]:
        """Say which imported files the loop reads too, without what was declared for the import."""
        if "csv" not in self.settings.sources:
            return
        declared = declaration.read_bytes()
        for file in files:
            beside = file.with_name(f"{file.name}.toml")
            is_beside = beside.exists() and beside.read_bytes() == declared
            if not is_beside and source.reads(file):
                yield f"{file}: the loop reads this file too; copy {declaration} to {beside} for it"

    def retry(self, name: str, wanted: OpenRejects, progress: Progress | None = None) -> Result:
        """Read a source's open rejects again; `retry.retry` says what that raises."""
        return retry.retry(self.engine, self.source(name), wanted, self._options(progress))

    def rehearse_retry(self, name: str, wanted: OpenRejects) -> tuple[int, int]:
        """Count the rejects that would be read again, and those that would pass."""
        return retry.rehearse(self.engine, self.source(name), wanted, self._options(None))

    @contextmanager
    def _network(self, source: Source) -> Iterator[Http | None]:
        """Give the source its way to the network for one run; None where it reads files."""
        if not isinstance(source, JsonApi):
            yield None
            return
        with (
            Budget(self.engine, source) as budget,
            Http(source.name, budget, self.stop, provider=source.provider) as fetch,
        ):
            fetch.told = functools.partial(self.metrics.answered, source.name)
            try:
                yield fetch
            finally:
                self.metrics.asked(source.name, fetch)

    def _options(self, progress: Progress | None) -> Options:
        options = Options(
            batch_size=self.settings.batch_size,
            faults=self.faults,
            stop=self.stop,
            loaded=self.metrics.loaded,
        )
        return dataclasses.replace(options, progress=progress) if progress else options
