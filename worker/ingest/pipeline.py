"""Execute a run: fetch a page, check it, load it batch by batch, move the checkpoint, repeat."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from shared.errors import ConfigurationError, InjectedFailureError, RetryableError, SourceError
from shared.model.records import Page
from worker.database.engine import is_unavailable, reachable, refusal
from worker.database.locks import locked
from worker.identity import renames
from worker.ingest.batch import transaction
from worker.ingest.batch.contents import Batch, Counts
from worker.ingest.judging.ending import Ending
from worker.ingest.judging.reading_notes import describe_revisions
from worker.ingest.judging.verdict import judge_run
from worker.ingest.loader import Loader
from worker.ingest.runs.closing import close_run
from worker.ingest.runs.opening import open_run
from worker.ingest.runs.options import CountingFetch, Options, Result
from worker.ingest.runs.phases import Phases
from worker.ingest.runs.state import RunState
from worker.sources.base import Request, Response, Source

log = structlog.get_logger(__name__)


def run(engine: Engine, source: Source, fetch: CountingFetch | None, options: Options) -> Result:
    """Read the source from its checkpoint to its end, and load all records.

    A source that reads files needs no `fetch`.

    Every batch commits together with its checkpoint, so the next run can continue a run that was
    cut off at any point. Errors of the source become the outcome of the run, not exceptions.

    Raises:
        LockedError: another worker is reading this source; nothing was changed.
        DatabaseUnavailableError: the connection was lost. The next run closes the row of this one
            and continues at the checkpoint, which shows whether the last batch was committed.
        DatabaseRefusedError: the run could not be opened or closed (a timeout, a full disk).
    """
    requests = _Requests(fetch)

    def pages(state: RunState) -> Iterator[Page]:
        timed_fetch = partial(requests.fetch, state.phases)
        checkpoint = state.checkpoint
        return state.reader.pages(timed_fetch, checkpoint.cursor, checkpoint.validators)

    return _Pipeline(engine, source, options, "run", requests).execute(pages)


def load_saved(
    engine: Engine, source: Source, pages: Callable[[Source], Iterator[Page]], options: Options
) -> Result:
    """Load saved pages as if the source had just sent them; its cursor does not move.

    `pages` is called with the source, and returns the pages.
    """
    pipeline = _Pipeline(engine, source, options, "import", _Requests(None))
    return pipeline.execute(lambda state: pages(state.reader))


class _Requests:
    """Sends the requests of one run, and counts them and their time."""

    def __init__(self, fetch: CountingFetch | None) -> None:
        self._fetch = fetch
        self._before = self._totals()

    def fetch(self, phases: Phases, request: Request, validator: str | None = None) -> Response:
        """Send a request; count the time of the fetch, and apart from it that of waiting."""
        if self._fetch is None:
            raise ConfigurationError(f"{request.url}: requested by a source that reads files")
        with phases.timing("fetch", apart_from=["wait"]):
            before = self._fetch.waited
            try:
                return self._fetch(request, validator)
            finally:
                phases.add("wait", self._fetch.waited - before)

    def numbers(self) -> dict[str, int]:
        """Return the requests and retries since the run began, for its row."""
        now = self._totals()
        return {name: now[name] - self._before[name] for name in now}

    def _totals(self) -> dict[str, int]:
        if self._fetch is None:
            return {"requests": 0, "retries": 0}
        return {"requests": self._fetch.requests, "retries": self._fetch.retries}


class _Pipeline:
    """Opens a run, loads its pages and closes it; `execute` is called once."""

    def __init__(
        self, engine: Engine, source: Source, options: Options, command: str, requests: _Requests
    ) -> None:
        self._engine = engine
        self._source = source
        self._options = options
        self._command = command
        self._requests = requests

    def execute(self, pages: Callable[[RunState], Iterator[Page]]) -> Result:
        name = self._source.name
        with reachable(), locked(self._engine, name) as conn:
            state = open_run(conn, self._source, self._options, self._command)
            with structlog.contextvars.bound_contextvars(source=name, run_id=state.run_id):
                cursor = state.checkpoint.cursor
                log.info("run started", command=self._command, cursor=cursor)
                ending = self._load_and_close(conn, state, pages)
            notes = [*state.cutter.readings.lines(), *_describe_changes(conn, state)]
        return Result(name, state.run_id, ending, state.counts, notes)

    def _load_and_close(
        self,
        conn: Connection,
        state: RunState,
        pages: Callable[[RunState], Iterator[Page]],
    ) -> Ending:
        try:
            ending = _load_all(conn, state, pages(state))
            return close_run(conn, state, ending, self._requests.numbers())
        except DBAPIError as exc:
            if is_unavailable(exc):
                raise
            state.is_read = state.is_whole = False
            return close_run(conn, state, _refused(state, exc), self._requests.numbers())


def _load_all(conn: Connection, state: RunState, pages: Iterator[Page]) -> Ending:
    """Load every page, and return the ending of the run."""
    try:
        with Loader(partial(_load, conn, state), partial(_add_counts, state)) as loader:
            for page in state.phases.each("check", pages, apart_from=["wait", "fetch"]):
                if state.options.stop.is_set():
                    return Ending("partial", "stopped", "stopped after the current batch")
                for batch in state.phases.each("check", state.cutter.batches(page)):
                    loader.load(batch, state.cutter.records_read)
    except (SourceError, RetryableError) as exc:
        outcome = "partial" if exc.code in {"stopped", "unfinished_row"} else "failed"
        brief = exc.brief if isinstance(exc, SourceError) else None
        return Ending(outcome, exc.code, str(exc), brief)
    except InjectedFailureError as exc:
        return Ending("failed", "injected_failure", str(exc))
    except DBAPIError as exc:
        if is_unavailable(exc):
            log.error(  # noqa: TRY400
                "the connection was lost; the next run detects whether the last batch was "
                "committed",
                committed_before=state.counts.fetched,
            )
            raise
        return _refused(state, exc)
    except Exception as exc:
        log.exception("internal error, please report it")
        return Ending("failed", "internal", f"{state.source.name}: {exc!r}")
    state.is_read = True
    state.is_whole = state.source.is_snapshot and not state.is_import
    return judge_run(conn, state)


def _load(conn: Connection, state: RunState, batch: Batch, records_read: int) -> Counts:
    """Load one batch; a fault may be injected."""
    source, options = state.source.name, state.options
    at = options.faults.of_batch(source, records_read)
    started = time.monotonic()
    batch = replace(batch, reference_run=state.reference_run)
    counts = transaction.load_batch(conn, source, state.run_id, batch, at, state.phases)
    options.on_commit(source, counts, time.monotonic() - started)
    return counts


def _add_counts(state: RunState, counts: Counts) -> None:
    state.counts += counts
    state.options.progress(state.counts.fetched)


def _refused(state: RunState, exc: DBAPIError) -> Ending:
    error = refusal(exc)
    return Ending("failed", error.code, f"{state.source.name}: {error}")


def _describe_changes(conn: Connection, state: RunState) -> list[str]:
    """Describe the revisions and renames of an import; those of other runs are in the log."""
    if not state.is_import:
        return []
    with conn.begin():
        changes = (
            describe_revisions(state.counts.revised, state.counts.revision),
            renames.describe_renames(conn, state.run_id),
        )
    return [change for change in changes if change]
