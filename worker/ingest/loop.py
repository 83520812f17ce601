"""Passes over the sources: one, or one every interval until the worker is told to stop."""

import threading
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

log = structlog.get_logger(__name__)

PATIENCE = 15.0
"""Seconds after which the next source has its turn beside one that is still at work."""

LONGEST_WAIT = 60
"""Seconds between two attempts to reach a database that is away, at the most."""


@dataclass
class Pass:
    """What one pass over the sources came to."""

    results: list[Result] = field(default_factory=list)
    locked: list[LockedError] = field(default_factory=list)
    refused: list[DatabaseRefusedError] = field(default_factory=list)
    crashed: list[str] = field(default_factory=list)
    unowned: list[MarketDataError] = field(default_factory=list)
    """What is no source's own failure: the database went away."""

    def add(self, other: "Pass") -> None:
        """Add what came later."""
        self.results += other.results
        self.locked += other.locked
        self.refused += other.refused
        self.crashed += other.crashed
        self.unowned += other.unowned

    def raise_unowned(self) -> None:
        """Raise what is no source's own failure, if anything is."""
        if self.unowned:
            raise self.unowned[0]

    @property
    def exit_code(self) -> int:
        """0 done; 1 something failed; 3 nothing did, but another worker has a source locked."""
        has_failed = self.refused or self.crashed or self.unowned
        if has_failed or not all(result.succeeded for result in self.results):
            return 1
        return 3 if self.locked else 0


class Rounds:
    """Rounds over the sources, each in turn, none kept waiting by one that takes long.

    A source that takes longer than `patience` goes on beside those after it, in the next rounds
    too. Sources of one provider never run at the same time: they share its pace and its pauses.
    """

    def __init__(
        self,
        run_source: Callable[[str], Result | None],
        stop: threading.Event,
        provider_of: Callable[[str], str] = str,
        patience: float = PATIENCE,
    ) -> None:
        self._run_source = run_source
        self._stop = stop
        self._provider_of = provider_of
        self._patience = patience
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._at_work: dict[str, Future[Result | None]] = {}

    def go_round(self, sources: Sequence[str]) -> Pass:
        """Give each source its turn, and return what ended meanwhile, of earlier rounds too.

        One that is still at work has none. What stops one does not stop the others, unless the
        database went away: then the sources after that have no turn.
        """
        done = Pass()
        for source in sources:
            self._collect(done)
            if self._stop.is_set() or done.unowned:
                break
            if source in self._at_work:
                log.warning("source is still at work; it has no turn this time", source=source)
                continue
            provider = self._provider_of(source)
            is_free = all(self._provider_of(each) != provider for each in self._at_work)
            thread = self._threads.setdefault(provider, ThreadPoolExecutor(1, f"run-{provider}"))
            self._at_work[source] = thread.submit(self._begin, source)
            if is_free:
                wait([self._at_work[source]], self._patience)
        self._collect(done)
        return done

    def settle(self) -> Pass:
        """Wait for all that are at work, and return what ended."""
        done = Pass()
        wait(self._at_work.values())
        self._collect(done)
        for thread in self._threads.values():
            thread.shutdown()
        return done

    def close(self) -> None:
        """Wait for all that are at work, whatever they end with."""
        for exc in self.settle().unowned:
            log.error("a source ended with the worker", error=str(exc))

    def _begin(self, source: str) -> Result | None:
        """Run a source whose turn it is; one that was queued until the stop does not start."""
        return None if self._stop.is_set() else self._run_source(source)

    def _collect(self, done: Pass) -> None:
        for source in [each for each, future in self._at_work.items() if future.done()]:
            _note(self._at_work.pop(source), source, done)


def _note(ended: "Future[Result | None]", source: str, done: Pass) -> None:
    try:
        if result := ended.result():
            done.results.append(result)
    except LockedError as exc:
        log.warning("source is locked", source=source, error=str(exc))
        done.locked.append(exc)
    except DatabaseRefusedError as exc:
        # Not even the run's row could be written, so this line is all there is.
        log.error(  # noqa: TRY400
            "the run could not be recorded", source=source, reason=exc.code, error=str(exc)
        )
        done.refused.append(exc)
    except MarketDataError as exc:
        done.unowned.append(exc)
    except Exception:
        log.exception("internal error, please report it", source=source)
        done.crashed.append(source)


def run_once(
    sources: Sequence[str],
    run_source: Callable[[str], Result | None],
    stop: threading.Event,
    provider_of: Callable[[str], str] = str,
    patience: float = PATIENCE,
) -> Pass:
    """Run each source once, and return when all ended; `Rounds` says how."""
    rounds = Rounds(run_source, stop, provider_of, patience)
    done = rounds.go_round(sources)
    done.add(rounds.settle())
    done.results.sort(key=lambda result: sources.index(result.source))
    return done


def run_forever(one_pass: Callable[[], object], interval: float, stop: threading.Event) -> None:
    """Make a pass every `interval` seconds, until told to stop. No failing pass ends it.

    While the database is away it is tried again after 1, 2, 4 … seconds, a minute at the most; and
    while its schema is not ours too, for a migration may be under way.

    Raises:
        ConfigurationError, SchemaVersionError: the first pass that reaches the database finds that
            the worker should not have been started like this.
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
                "the database is away; trying again", error=str(exc), seconds=wait
            )
        except (ConfigurationError, SchemaVersionError) as exc:
            if not started:
                raise
            wait = min(2**failures, LONGEST_WAIT)
            failures += 1
            log.error(  # noqa: TRY400
                "the worker no longer fits its surroundings; trying again",
                error=str(exc),
                seconds=wait,
            )
        except DatabaseRefusedError as exc:
            log.error(  # noqa: TRY400
                "the database refused the pass; trying again", reason=exc.code, error=str(exc)
            )
        except Exception:
            log.exception("internal error, please report it")
        stop.wait(wait)
