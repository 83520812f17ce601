"""The worker: connects settings, database and sources."""

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
from worker.ingest import pipeline
from worker.ingest.batch.rejects import OpenRejects
from worker.ingest.faults import Faults
from worker.ingest.metrics import Metrics
from worker.ingest.runs.due import read_due
from worker.ingest.runs.options import Options, Progress, Result
from worker.maintenance import retry
from worker.maintenance.migrate import require_schema
from worker.sources import REGISTRY
from worker.sources.base import Source
from worker.sources.csv import CsvFiles
from worker.sources.json.api import JsonApi
from worker.stopping import StopEvent

log = structlog.get_logger(__name__)


@contextmanager
def database(settings: Settings) -> Iterator[URL]:
    """Yield the owner's URL of the configured database, or of the embedded one.

    The embedded database runs at least as long as the `with` block.
    """
    if settings.database_url is not None:
        yield settings.database_url
        return
    with EmbeddedPostgres(project_folder()).running() as server:
        yield server.url


class Worker:
    """The worker of one process on one database."""

    def __init__(self, settings: Settings, url: URL) -> None:
        self.settings = settings
        self.url = url
        self.stop = StopEvent()
        self.metrics = Metrics()
        self.engine: Engine = writer_engine(url, worker_name())
        self.faults = Faults(settings.fail_after_n_records, settings.fault)
        self._sample_is_over = False
        self._sample_lock = threading.Lock()

    def require_schema(self) -> None:
        """Check that the database schema matches this release.

        Raises:
            SchemaVersionError: it does not.
            DatabaseUnavailableError: the database cannot be reached.
        """
        require_schema(self.url)

    def read_crosswalk(self) -> Mapping[Ref, str]:
        """Read the crosswalk files in `IDENTITY_PATH`.

        Raises:
            ConfigurationError: the folder does not exist, or a line of a file is invalid.
        """
        folder = Path(self.settings.identity_path)
        if folder == IDENTITY_FILES and not folder.parent.exists():
            # An installed wheel without data/ has no crosswalk unless one is configured.
            return {}
        return read_crosswalk(folder)

    def apply_crosswalk(self) -> None:
        """Apply changes of the crosswalk files to the database.

        Raises:
            ConfigurationError: see `read_crosswalk`; nothing was changed.
            DatabaseUnavailableError: the database cannot be reached.
        """
        lines = self.read_crosswalk()
        with reachable(), self.engine.begin() as conn:
            changed = apply_crosswalk(conn, lines)
        if changed:
            log.info("crosswalk changes applied", rows=changed)

    def source(self, name: str) -> Source:
        """Create a source from the settings; `csv` without the sample once it is retired."""
        source = REGISTRY[name].from_settings(self.settings)
        if self._sample_is_over and isinstance(source, CsvFiles):
            return source.without_sample()
        return source

    def provider_of(self, name: str) -> str:
        """Return the provider whose rate and budget a source shares, or the source itself."""
        source = self.source(name)
        return source.provider if isinstance(source, JsonApi) else name

    def run(self, name: str, progress: Progress | None = None) -> Result:
        """Run a source once; errors are those of `pipeline.run`."""
        source = self.source(name)
        with self.metrics.running(name), self._network(source) as fetch:
            result = pipeline.run(self.engine, source, fetch, self._options(progress))
        self.metrics.record_end(name, result.ending)
        return result

    def run_if_due(self, name: str, progress: Progress | None = None) -> Result | None:
        """Run a source if it is due (see `read_due`)."""
        if EXPECTATIONS[name].read_every:
            with reachable(), self.engine.connect() as conn:
                if not read_due(conn, [name]):
                    return None
        return self.run(name, progress)

    def run_in_loop(self, name: str, progress: Progress | None = None) -> Result | None:
        """Run a source if it is due, then update the sample."""
        result = self.run_if_due(name, progress)
        if result is not None and name in LISTING_SOURCES:
            self.update_sample()
        return result

    def update_sample(self) -> None:
        """Retire the sample's listings and stop reading it once a provider has been read.

        If `CSV_PATH` names the sample, its listings stay, and an earlier retirement is revoked.
        """
        try:
            is_chosen = CsvFiles.from_settings(self.settings).reads_sample_by_choice()
        except OSError:  # the run of the source reports it, with the path
            return
        with self._sample_lock, reachable(), self.engine.begin() as conn:
            self._sample_is_over = sample.is_over(conn)
            changes = sample.update_retirements(conn, is_chosen=is_chosen)
        if changes.retired or changes.returned:
            log.info("sample listings updated", retired=changes.retired, returned=changes.returned)

    def read_usage(self, names: Sequence[str] = SOURCES) -> list[Usage]:
        """Return the use of the month's request budget by provider."""
        sources = [source for name in names if isinstance(source := self.source(name), JsonApi)]
        with reachable(), self.engine.connect() as conn:
            return read_usage(conn, sources)

    def warn_of_budgets(self, names: Sequence[str]) -> None:
        """Log a warning for each provider whose budget is too small for the interval.

        The provider's sources are read anyway, until the budget is used up.
        """
        interval = self.settings.run_interval_seconds
        for usage in self.read_usage(names):
            if advice := usage.shortfall(interval):
                log.warning(
                    "request budget too small for the interval",
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
        """Load saved responses, or CSV files, in the given order as one run.

        A `declaration` replaces the one beside each CSV file.
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
        advice = self._advise_on_loop(source, files, declaration)
        return dataclasses.replace(result, notes=[*result.notes, *advice])

    def _advise_on_loop(
        self, source: CsvFiles, files: Sequence[Path], declaration: Path
    ) -> Iterator[str]:
        """Name the imported files that the loop reads too, but without this declaration."""
        if "csv" not in self.settings.sources:
            return
        declared = declaration.read_bytes()
        for file in files:
            beside = file.with_name(f"{file.name}.toml")
            has_declaration = beside.exists() and beside.read_bytes() == declared
            if not has_declaration and source.reads(file):
                yield f"{file}: the loop reads this file too; copy {declaration} to {beside}"

    def retry(
        self, name: str, query: OpenRejects, progress: Progress | None = None
    ) -> retry.Retried:
        """Read a source's open rejects again; errors are those of `retry.retry`."""
        return retry.retry(self.engine, self.source(name), query, self._options(progress))

    def preview_retry(self, name: str, query: OpenRejects) -> tuple[int, int]:
        """Return the number of matching rejects, and of those that would pass."""
        return retry.preview(self.engine, self.source(name), query, self._options(None))

    @contextmanager
    def _network(self, source: Source) -> Iterator[Http | None]:
        """Yield the HTTP client of a run; None for a source that reads files."""
        if not isinstance(source, JsonApi):
            yield None
            return
        with (
            Budget(self.engine, source) as budget,
            Http(source.name, budget, self.stop, provider=source.provider) as fetch,
        ):
            fetch.on_response = functools.partial(self.metrics.record_request, source.name)
            try:
                yield fetch
            finally:
                self.metrics.record_retries(source.name, fetch)

    def _options(self, progress: Progress | None) -> Options:
        options = Options(
            batch_size=self.settings.batch_size,
            faults=self.faults,
            stop=self.stop,
            on_commit=self.metrics.record_batch,
        )
        return dataclasses.replace(options, progress=progress) if progress else options
