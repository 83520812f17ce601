"""One service as a child process: its output in a file, its end noticed, its life bounded."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from shared.errors import MarketDataError

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LAST_LINES = 20


class EndedByItselfError(MarketDataError):
    """A part of the whole is gone, though nobody stopped it; the message has its last words."""


class Child:
    """A process in a session of its own, so that the terminal's Ctrl-C does not reach it.

    On Linux it is asked to end when this process dies, however that happens. Elsewhere a child
    outlives a supervisor that was killed with SIGKILL, and is to be ended by hand.
    """

    def __init__(
        self, name: str, command: Sequence[str], environ: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environ,
                start_new_session=True,
                preexec_fn=_end_with(os.getpid()),  # noqa: PLW1509  no thread holds a lock here
            )

    def check(self) -> None:
        """Return if it runs.

        Raises:
            EndedByItselfError: it does not.
        """
        status = self._process.poll()
        if status is not None:
            raise EndedByItselfError(
                f"the {self.name} ended by itself, with exit status {status}; the end of "
                f"{str(self.log)!r}:\n{last_lines(self.log)}"
            )

    def stop(self, seconds: float) -> bool:
        """Ask it to end, and after a time kill it with what it started; return False then."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            return False
        return True


def adopt_orphans() -> None:
    """Become the parent of what children leave behind, where the system can do that (Linux).

    A server that outlived its starter can then be waited for until it is gone entirely.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def wait_for(pid: int) -> None:
    """Wait for the end of a process; of one that is nobody's child here, do not."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def last_lines(log: Path) -> str:
    """Return the end of a log, indented."""
    with log.open(encoding="utf-8", errors="replace") as file:
        return "".join(f"  {line}" for line in deque(file, LAST_LINES)).rstrip()


def _end_with(parent: int) -> Callable[[], None] | None:
    """Make what a child runs first: it asks the kernel for SIGTERM when its parent is gone."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the kernel was asked
            os.kill(os.getpid(), signal.SIGTERM)

    return ask
