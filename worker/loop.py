"""Passes over the sources: one, or one every interval until the worker is told to stop."""

import threading
from collections.abc import Callable, Sequence
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
from worker.pipeline import Result

log = structlog.get_logger(__name__)

LONGEST_WAIT = 60
"""Seconds between two attempts to reach a database that is away, at the most."""


@dataclass
class Pass:
    """What one pass over the sources came to."""

    results: list[Result] = field(default_factory=list)
    locked: list[LockedError] = field(default_factory=list)
    refused: list[DatabaseRefusedError] = field(default_factory=list)
    crashed: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 done; 1 a source failed; 3 a source is locked by another worker, and none failed."""
        if self.refused or self.crashed or not all(result.succeeded for result in self.results):
            return 1
        return 3 if self.locked else 0


def run_once(
    sources: Sequence[str], run_source: Callable[[str], Result | None], stop: threading.Event
) -> Pass:
    """Run each source in turn. What stops one does not stop the others; None had no turn.

    Raises:
        DatabaseUnavailableError: the database went away; the sources after that did not run.
    """
    done = Pass()
    for source in sources:
        if stop.is_set():
            break
        try:
            if result := run_source(source):
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
        except MarketDataError:
            raise
        except Exception:
            log.exception("a mistake in this program; please report it", source=source)
            done.crashed.append(source)
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
            log.exception("a mistake in this program; please report it")
        stop.wait(wait)
