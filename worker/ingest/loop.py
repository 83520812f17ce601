"""Passes over the sources: a single one, or one per interval until the worker is stopped."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import structlog

from shared.errors import (
    ConfigurationError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    LockedError,
    MarketDataError,
    SchemaVersionError,
)
from worker.ingest.runs.options import Result
from worker.stopping import StopEvent

log = structlog.get_logger(__name__)

PARALLEL_AFTER = 15.0
"""Seconds after which the next source starts in parallel to one that is still running."""

LONGEST_WAIT = 60
"""Maximum number of seconds between two attempts to reach the database."""


@dataclass
class PassResult:
    """The results and errors of one pass over the sources."""

    results: list[Result] = field(default_factory=list)
    locked: list[LockedError] = field(default_factory=list)
    refused: list[DatabaseRefusedError] = field(default_factory=list)
    crashed: list[str] = field(default_factory=list)
    fatal: list[MarketDataError] = field(default_factory=list)
    """Errors that concern all sources, such as a lost database; they end the pass."""

    def add(self, other: "PassResult") -> None:
        """Add results and errors that came later."""
        self.results += other.results
        self.locked += other.locked
        self.refused += other.refused
        self.crashed += other.crashed
        self.fatal += other.fatal

    def raise_fatal(self) -> None:
        """Raise the first error that concerns all sources, if any."""
        if self.fatal:
            raise self.fatal[0]

    @property
    def exit_code(self) -> int:
        """0 for success, 1 for a failure, 3 if no source failed but another worker locks one."""
        has_failed = self.refused or self.crashed or self.fatal
        if has_failed or not all(result.succeeded for result in self.results):
            return 1
        return 3 if self.locked else 0


class PassRunner:
    """Runs the sources in order, pass after pass; slow sources do not block the others.

    A source that takes longer than `parallel_after` continues in parallel to the following sources,
    also in later passes. Sources of one provider never run at the same time, because they share its
    request rate and its pauses.
    """

    def __init__(
        self,
        run_source: Callable[[str], Result | None],
        stop: StopEvent,
        provider_of: Callable[[str], str] = str,
        parallel_after: float = PARALLEL_AFTER,
    ) -> None:
        self._run_source = run_source
        self._stop = stop
        self._provider_of = provider_of
        self._parallel_after = parallel_after
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._running: dict[str, Future[Result | None]] = {}

    def run_pass(self, sources: Sequence[str]) -> PassResult:
        """Start each source, and return the runs that ended meanwhile, also of earlier passes.

        A source that is still running is not started again. The error of one source does not stop
        the others. An error that concerns all sources ends the pass.
        """
        ended = PassResult()
        for source in sources:
            self._collect(ended)
            if self._stop.is_set() or ended.fatal:
                break
            if source in self._running:
                log.warning("source is still running; not started in this pass", source=source)
                continue
            provider = self._provider_of(source)
            is_free = all(self._provider_of(other) != provider for other in self._running)
            thread = self._threads.setdefault(provider, ThreadPoolExecutor(1, f"run-{provider}"))
            self._running[source] = thread.submit(self._run_unless_stopped, source)
            if is_free:
                wait([self._running[source]], self._parallel_after)
        self._collect(ended)
        return ended

    def finish(self) -> PassResult:
        """Wait for all running sources, and return how they ended."""
        ended = PassResult()
        wait(self._running.values())
        self._collect(ended)
        for thread in self._threads.values():
            thread.shutdown()
        return ended

    def close(self) -> None:
        """Wait for all running sources; log errors that `finish` would return."""
        for exc in self.finish().fatal:
            log.error("a source failed while the worker stopped", error=str(exc))

    def _run_unless_stopped(self, source: str) -> Result | None:
        """Run a source, unless the worker was stopped while the source was queued."""
        return None if self._stop.is_set() else self._run_source(source)

    def _collect(self, ended: PassResult) -> None:
        for source in [name for name, future in self._running.items() if future.done()]:
            _add_result(self._running.pop(source), source, ended)


def _add_result(future: "Future[Result | None]", source: str, ended: PassResult) -> None:
    try:
        if result := future.result():
            ended.results.append(result)
    except LockedError as exc:
        log.warning("source is locked", source=source, error=str(exc))
        ended.locked.append(exc)
    except DatabaseRefusedError as exc:
        # The row of the run could not be written either, so this line is the only record.
        log.error(  # noqa: TRY400
            "the run could not be recorded", source=source, reason=exc.code, error=str(exc)
        )
        ended.refused.append(exc)
    except MarketDataError as exc:
        ended.fatal.append(exc)
    except Exception:
        log.exception("internal error, please report it", source=source)
        ended.crashed.append(source)


def run_once(
    sources: Sequence[str],
    run_source: Callable[[str], Result | None],
    stop: StopEvent,
    provider_of: Callable[[str], str] = str,
    parallel_after: float = PARALLEL_AFTER,
) -> PassResult:
    """Run each source once, and return when all ended; see `PassRunner`."""
    runner = PassRunner(run_source, stop, provider_of, parallel_after)
    ended = runner.run_pass(sources)
    ended.add(runner.finish())
    ended.results.sort(key=lambda result: sources.index(result.source))
    return ended


def run_forever(one_pass: Callable[[], object], interval: float, stop: StopEvent) -> None:
    """Call `one_pass` every `interval` seconds until stopped. A failed pass does not end the loop.

    If the database is unavailable, the next attempts follow after 1, 2, 4 … seconds, at most a
    minute. The same applies to a wrong schema version, because a migration may be in progress.

    Raises:
        ConfigurationError, SchemaVersionError: in the first pass that reaches the database.
    """
    failures = 0
    started = False
    while not stop.is_set():
        wait = interval
        try:
            one_pass()
            failures = 0
            started = True
        except DatabaseUnavailableError as exc:
            wait = min(2**failures, LONGEST_WAIT)
            failures += 1
            log.error(  # noqa: TRY400
                "the database is unavailable; trying again", error=str(exc), seconds=wait
            )
        except (ConfigurationError, SchemaVersionError) as exc:
            if not started:
                raise
            wait = min(2**failures, LONGEST_WAIT)
            failures += 1
            log.error(  # noqa: TRY400
                "configuration or schema became invalid; trying again",
                error=str(exc),
                seconds=wait,
            )
        except DatabaseRefusedError as exc:
            log.error(  # noqa: TRY400
                "the database refused a statement of the pass; trying again",
                reason=exc.code,
                error=str(exc),
            )
        except Exception:
            log.exception("internal error, please report it")
        stop.wait(wait)
