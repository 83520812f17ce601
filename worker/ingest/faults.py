"""Fault injection for tests: fail a run, or kill the worker, at a defined point."""

import os
import signal
from collections.abc import Callable

import structlog

from shared.errors import InjectedFailureError
from shared.model.faults import Fault

log = structlog.get_logger(__name__)

At = Callable[[str], None]
"""Called with the name of each fault point as it is reached; see `FAULT_POINTS`."""


def no_fault(point: str) -> None:
    """Inject nothing."""


class Faults:
    """The faults to inject in this process; none without the settings."""

    def __init__(self, fail_after: int | None = None, fault: Fault | None = None) -> None:
        self._fail_after = fail_after
        self._fault = fault
        self._batches_at_point = 0

    def of_batch(self, source: str, read: int) -> At:
        """Return the function to call at the points of a batch; `read` counts the run's records."""
        if self._fail_after is None and self._fault is None:
            return no_fault

        def at(point: str) -> None:
            if point == "before_commit":
                self._fail(source, read)
            self._crash(point)

        return at

    def _fail(self, source: str, read: int) -> None:
        if self._fail_after is not None and read >= self._fail_after:
            raise InjectedFailureError(
                f"{source}: failed on purpose after {self._fail_after} records "
                "(FAIL_AFTER_N_RECORDS); the current batch was rolled back"
            )

    def _crash(self, point: str) -> None:
        """Kill this process if `FAULT` names this point and this batch."""
        if self._fault is None or point != self._fault.point:
            return
        self._batches_at_point += 1
        if self._batches_at_point == self._fault.batch:
            log.warning("killed on purpose (FAULT)", point=point, batch=self._fault.batch)
            os.kill(os.getpid(), signal.SIGKILL)
