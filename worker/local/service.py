"""One service as a child process: its output in a file, its end noticed, its life bounded."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from shared.embedded.rotating_log import RotatingLog
from shared.errors import MarketDataError

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LAST_LINES = 20
KILL_SECONDS = 10
"""Where the kernel holds a killed process for longer, it is left behind."""
LOG_SECONDS = 10
"""How long the last lines of a child may take to reach its log."""


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
        self._writer = RotatingLog(log)
        with self._writer.output() as output:
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
            self._writer.wait(LOG_SECONDS)
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
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(KILL_SECONDS)
            return False
        finally:
            self._writer.wait(LOG_SECONDS)
        return True


def adopt_orphans() -> None:
    """Become the parent of what children leave behind, where the system can do that (Linux).

    A server that outlived its starter can then be waited for until it is gone entirely.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def wait_for(pid: int, seconds: float) -> None:
    """Wait for the end of a process for so long; of one that is no child here, do not."""
    give_up = time.monotonic() + seconds
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(pid, os.WNOHANG) == (0, 0) and time.monotonic() < give_up:
            time.sleep(0.05)


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
