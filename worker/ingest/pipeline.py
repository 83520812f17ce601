"""One run: fetch a page, check it, load it batch by batch, move the checkpoint, repeat."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from shared.errors import ConfigurationError, InjectedFailureError, RetryableError, SourceError
from shared.model.records import Page
from shared.model.runs import IDS_CHANGED, TOO_MANY_REJECTS
from worker.database import partitions
from worker.database.engine import is_away, reachable, refusal
from worker.database.locks import locked
from worker.database.periods import periods_ahead
from worker.drift import ledger
from worker.identity import renames
from worker.ingest import journal
from worker.ingest.batch import rejects, transaction
from worker.ingest.batch.phases import Phases
from worker.ingest.batch.transaction import Batch, Counts
from worker.ingest.journal import Checkpoint
from worker.ingest.judging import baseline
from worker.ingest.judging.contradictions import find_differing
from worker.ingest.judging.drift import judge_drift
from worker.ingest.judging.ending import Ending, RunFacts
from worker.ingest.judging.outcome import has_changed_ids, has_too_many_rejects, judge, judge_import
from worker.ingest.judging.readings import describe_revisions
from worker.ingest.loader import Loader
from worker.ingest.options import CountingFetch, Options, Result
from worker.ingest.pages.batch_checker import BatchChecker
from worker.ingest.pages.page_cutter import PageCutter
from worker.ingest.pages.recognition import RECOGNISED, read_recognition
from worker.ingest.snapshots import delisting, pending, snapshot_pages
from worker.ingest.snapshots.delisting import Delisted
from worker.sources.base import Request, Response, Source

log = structlog.get_logger(__name__)


def run(engine: Engine, source: Source, fetch: CountingFetch | None, options: Options) -> Result:
    """Read the source from its checkpoint to its end, and load all of it.

    A source that reads files needs no `fetch`.

    Every batch commits together with its checkpoint, so a run that is cut off anywhere is gone on
    with by the next. What a source does wrong ends as the run's outcome, not as an exception.

    Raises:
        LockedError: another worker is at this source; nothing was done.
        DatabaseUnavailableError: the database went away. Whether the batch in flight landed, the
            checkpoint knows: the next run goes on from there, and closes this run's row.
        DatabaseRefusedError: the run could not be opened or closed: a timeout, a full disk.
    """
    own = _Run(engine, source, options, "run", fetch)

    def pages(reader: Source, checkpoint: Checkpoint) -> Iterator[Page]:
        return reader.pages(own.ask, checkpoint.cursor, checkpoint.validators)

    return own.execute(pages)


def load_saved(
    engine: Engine, source: Source, pages: Callable[[Source], Iterator[Page]], options: Options
) -> Result:
    """Load saved pages as if the source had just sent them; its cursor stays where it is.

    `pages` reads them by the source that it is handed.
    """
    return _Run(engine, source, options, "import", None).execute(lambda reader, _: pages(reader))


class _Run:
    """The state of one run; `execute` is called once."""

    def __init__(
        self,
        engine: Engine,
        source: Source,
        options: Options,
        command: str,
        fetch: CountingFetch | None,
    ) -> None:
        self.engine = engine
        self.source = source
        self.options = options
        self.command = command
        self.fetch = fetch
        self.is_import = command == "import"
        self.tells_listed = not self.is_import and delisting.is_judged(source.name)
        self.asked_before = self._asked()
        self.counts = Counts()
        self.phases = Phases()
        self.is_whole = False
        self.is_read = False
        self.changed_ids_since: datetime | None = None
        self.expected = 0

    def execute(self, pages: Callable[[Source, Checkpoint], Iterator[Page]]) -> Result:
        name = self.source.name
        with reachable(), locked(self.engine, name) as conn:
            ahead = periods_ahead(self.options.clock())
            partitions.create_partitions(conn, name, ahead, self.options.faults.of_batch(name, 0))
            with conn.begin():
                closed = journal.close_interrupted_runs(conn, name)
                checkpoint = self._read_checkpoint(conn)
                self.expected = checkpoint.snapshot_records or 0
                for interrupted in closed:
                    log.warning(
                        "an earlier run was interrupted; what it had committed is kept",
                        source=name,
                        interrupted_run=interrupted.run_id,
                        batches=interrupted.batches,
                        records=interrupted.records,
                    )
                    self._drop_excess(
                        conn, interrupted.run_id, interrupted.records, interrupted.rejected
                    )
                self.run_id = journal.start_run(conn, name, self.command, checkpoint.cursor)
                transaction.create_staging(conn, name)
                recognition = read_recognition(conn, name, self.options.clock())
                self.cut = PageCutter(
                    BatchChecker(self.source, recognition, self.options.batch_size),
                    ledger.shape_counters(conn, self.source),
                    clock=self.options.clock,
                    is_import=self.is_import,
                    tells_listed=self.tells_listed,
                )
                self.reference_run = baseline.read_reference_run(conn, name)
                reader = self.source
                if name in RECOGNISED:
                    reader = reader.recognising(recognition.recognise)
            with structlog.contextvars.bound_contextvars(source=name, run_id=self.run_id):
                log.info("run started", command=self.command, cursor=checkpoint.cursor)
                # Without a cursor a snapshot begins anew, however far an earlier one came.
                if checkpoint.cursor is not None:
                    self.cut.snapshot_progress = checkpoint.snapshot_progress
                try:
                    ending = self._read_all(conn, pages(reader, checkpoint), checkpoint)
                    ending = self._finish(conn, ending)
                except DBAPIError as exc:
                    if is_away(exc):
                        raise
                    self.is_read = self.is_whole = False
                    ending = self._finish(conn, self._refused(exc))
            notes = [*self.cut.readings.lines(), *self._say_changed(conn)]
        return Result(name, self.run_id, ending, self.counts, notes)

    def _say_changed(self, conn: Connection) -> list[str]:
        """Say what an import revised and renamed; of a source's own runs the log says it."""
        if not self.is_import:
            return []
        with conn.begin():
            said = (
                describe_revisions(self.counts.revised, self.counts.revision),
                renames.say_renamed(conn, self.run_id),
            )
        return [each for each in said if each]

    def _read_checkpoint(self, conn: Connection) -> Checkpoint:
        """Read where the source stands, and begin a snapshot where none is under way."""
        name = self.source.name
        checkpoint = journal.read_checkpoint(conn, name)
        if not self.tells_listed:
            return checkpoint
        if checkpoint.cursor is None:
            snapshot_pages.begin_snapshot(conn, name)
        known = snapshot_pages.keep_known(conn, name, checkpoint.validators)
        return replace(checkpoint, validators=known)

    def _finish(self, conn: Connection, ending: Ending) -> Ending:
        numbers = {
            "requests": self._asked()[0] - self.asked_before[0],
            "retries": self._asked()[1] - self.asked_before[1],
            "pages_not_modified": self.cut.pages_not_modified,
            "records_known": self.cut.known,
            "phase_seconds": self.phases.taken(),
        }
        with conn.begin():
            if self.is_read:
                drift = ledger.compare_run(
                    conn,
                    self.source,
                    self.run_id,
                    is_import=self.is_import,
                    saw_most=not self.is_whole
                    or 2 * self.counts.fetched >= self.cut.snapshot_progress,
                )
                ending = judge_drift(self.source.name, drift, ending)
            ending = self._bound_rejects(conn, ending)
            journal.finish_run(
                conn, self.source.name, self.run_id, ending, numbers, snapshot_ends=self.is_whole
            )
            delisted = Delisted()
            if self.tells_listed and self.is_whole:
                if ending.outcome == "succeeded":
                    delisted = delisting.end_snapshot(conn, self.source.name, self.options.clock())
                self._settle_pending(conn, ending)
            self.options.faults.of_batch(self.source.name, 0)("before_run_end")
        self.cut.readings.log_unread()
        is_well = ending.outcome == "succeeded" or ending.reason == "stopped"
        tell = log.info if is_well else log.error
        tell(
            "run finished",
            outcome=ending.outcome,
            reason=ending.reason,
            error=ending.brief or ending.error,
            fetched=self.counts.fetched,
            new=self.counts.new,
            unchanged=self.counts.unchanged,
            rejected=self.counts.rejected,
            revised=self.counts.revised,
            delisted=delisted.gone,
            listed_again=delisted.returned,
        )
        return ending

    def _settle_pending(self, conn: Connection, ending: Ending) -> None:
        """Have what is pending follow from the whole snapshot, and not from how it was cut."""
        if self.changed_ids_since is not None:
            pending.hold(conn, self.source.name, self.changed_ids_since)
        elif ending.reason != IDS_CHANGED:
            pending.release(conn, self.source.name, self.cut.snapshot_progress)

    def _bound_rejects(self, conn: Connection, ending: Ending) -> Ending:
        """Keep some payloads of a run with too many rejects, and say so in its ending."""
        seen = self.counts.fetched + self.cut.known
        rejected = self.counts.rejected - self.counts.dismissed
        dropped = self._drop_excess(conn, self.run_id, seen, rejected, ending.reason)
        if not dropped:
            return ending
        said = f"{ending.error or 'too many records were rejected'}. The payloads of {dropped} of"
        return replace(
            ending,
            error=f"{said} them were not kept, only counted by reason: the source is read again",
        )

    def _drop_excess(
        self, conn: Connection, run_id: int, seen: int, rejected: int, reason: str | None = None
    ) -> int:
        """Drop payloads where a run refused too many of what a snapshot holds that comes again."""
        if not self.source.is_snapshot or self.is_import:
            return 0
        expects, of = self.source.expects, max(seen, self.expected)
        if reason != TOO_MANY_REJECTS and not has_too_many_rejects(expects, of, rejected):
            return 0
        return rejects.drop_excess(conn, self.source.name, run_id)

    def ask(self, request: Request, validator: str | None = None) -> Response:
        """Fetch, and count what of it was waiting and what fetching."""
        if self.fetch is None:
            raise ConfigurationError(f"{request.url}: asked for by a source that reads files")
        with self.phases.timing("fetch", apart_from=["wait"]):
            before = self.fetch.waited
            try:
                return self.fetch(request, validator)
            finally:
                self.phases.add("wait", self.fetch.waited - before)

    def _asked(self) -> tuple[int, int]:
        """How many requests and retries the fetch counts, over all its runs."""
        return (self.fetch.requests, self.fetch.retries) if self.fetch else (0, 0)

    def _read_all(self, conn: Connection, pages: Iterator[Page], checkpoint: Checkpoint) -> Ending:
        """Load every page, and say how that ended."""
        try:
            with Loader(partial(self._load, conn), self._count) as loader:
                for page in self.phases.each("check", pages, apart_from=["wait", "fetch"]):
                    if self.options.stop.is_set():
                        return Ending("partial", "stopped", "stopped after the batch in flight")
                    for batch in self.phases.each("check", self.cut.batches(page)):
                        loader.load(batch, self.cut.read)
        except (SourceError, RetryableError) as exc:
            outcome = "partial" if exc.code in {"stopped", "unfinished_row"} else "failed"
            brief = exc.brief if isinstance(exc, SourceError) else None
            return Ending(outcome, exc.code, str(exc), brief)
        except InjectedFailureError as exc:
            return Ending("failed", "injected_failure", str(exc))
        except DBAPIError as exc:
            if is_away(exc):
                log.error(  # noqa: TRY400
                    "the connection was lost; the next run finds out whether the batch under way "
                    "was committed",
                    committed_before=self.counts.fetched,
                )
                raise
            return self._refused(exc)
        except Exception as exc:
            log.exception("internal error, please report it")
            return Ending("failed", "internal", f"{self.source.name}: {exc!r}")
        self.is_read = True
        self.is_whole = self.source.is_snapshot and not self.is_import
        return self._judge(conn, checkpoint)

    def _refused(self, exc: DBAPIError) -> Ending:
        refused = refusal(exc)
        return Ending("failed", refused.code, f"{self.source.name}: {refused}")

    def _judge(self, conn: Connection, checkpoint: Checkpoint) -> Ending:
        """Decide the outcome from what the source brought."""
        counts, source = self.counts, self.source
        brought = counts.fetched if self.is_import else self.cut.snapshot_progress
        found = RunFacts(
            seen=counts.fetched + self.cut.known,
            new=counts.new,
            rejected=counts.rejected,
            dismissed=counts.dismissed,
            snapshot=brought if source.is_snapshot else None,
            revised=counts.revised,
            unreadable=self.cut.readings.unread_records,
            common_reason=self.cut.readings.common_reason(),
        )
        with conn.begin():
            if not source.is_snapshot:
                found = replace(found, differing=self._find_differing(conn))
            if self.is_import:
                return judge_import(source.name, source.expects, found)
            if checkpoint.cursor is not None:
                found = found.after(baseline.read_interrupted(conn, source.name, self.run_id))
            changes = baseline.read_changes(
                conn, source.name, self.run_id, resumed=checkpoint.cursor is not None
            )
            found = replace(
                found,
                prices_compared=changes.prices_compared,
                prices_jumped=changes.prices_jumped,
                ids_replaced=changes.ids_replaced,
            )
            if has_changed_ids(found):
                self.changed_ids_since = changes.began_at
            share = source.expects.min_new_share
            usual = baseline.read_baseline(conn, source.name, checkpoint, share)
        return judge(source.name, source.expects, found, usual)

    def _find_differing(self, conn: Connection) -> str | None:
        """Say which records contradict each other, of this run and of those cut off before it.

        Those before a file was read anew do not count: it may have been corrected. An import always
        begins anew: one that did not receive again all that they stored is of other files, or of
        corrected ones.
        """
        cut_off = baseline.read_cut_off_runs(conn, self.source.name, self.command, self.run_id)
        if self.is_import and self.counts.unchanged < sum(cut_off.values()):
            cut_off = {}
        if cut_off:
            return find_differing(conn, [self.run_id, *cut_off])
        return find_differing(conn, [self.run_id], self.cut.periods) if self.counts.new else None

    def _load(self, conn: Connection, batch: Batch, read: int) -> Counts:
        """Load one batch, unless it is to fail on purpose."""
        at = self.options.faults.of_batch(self.source.name, read)
        started = time.monotonic()
        batch = replace(batch, reference_run=self.reference_run)
        counts = transaction.load_batch(conn, self.source.name, self.run_id, batch, at, self.phases)
        self.options.loaded(self.source.name, counts, time.monotonic() - started)
        return counts

    def _count(self, counts: Counts) -> None:
        self.counts += counts
        self.options.progress(self.counts.fetched)
