"""Failures on purpose: where a batch fails its run, or takes the whole worker with it."""

import os
import signal
from collections.abc import Callable

import structlog

from shared.errors import InjectedFailureError
from shared.model.faults import Fault

log = structlog.get_logger(__name__)

At = Callable[[str], None]
"""Told each point of a batch as the batch comes to it; `FAULT_POINTS` are their names."""


def go_on(point: str) -> None:
    """Let the batch go on: what it is given while nothing is to fail."""


class Faults:
    """What is to fail in this process; nothing, unless the settings say so."""

    def __init__(self, fail_after: int | None = None, fault: Fault | None = None) -> None:
        self._fail_after = fail_after
        self._fault = fault
        self._batches_there = 0

    def of_batch(self, source: str, read: int) -> At:
        """Give what a batch says its points to, once so many records of the run were `read`."""
        if self._fail_after is None and self._fault is None:
            return go_on

        def at(point: str) -> None:
            if point == "before_commit":
                self._fail(source, read)
            self._crash(point)

        return at

    def _fail(self, source: str, read: int) -> None:
        if self._fail_after is not None and read >= self._fail_after:
            raise InjectedFailureError(
                f"{source}: failed on purpose after {self._fail_after} records "
                "(FAIL_AFTER_N_RECORDS); the batch in flight was rolled back"
            )

    def _crash(self, point: str) -> None:
        """End this process as `kill -9` does, where it is the batch's turn."""
        if self._fault is None or point != self._fault.point:
            return
        self._batches_there += 1
        if self._batches_there == self._fault.batch:
            log.warning("killed on purpose (FAULT)", point=point, batch=self._fault.batch)
            os.kill(os.getpid(), signal.SIGKILL)
