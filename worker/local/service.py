"""A service as a child process, with its output in a rotated log file."""

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
"""Wait after SIGKILL. A process that the kernel holds for longer is left behind."""
LOG_SECONDS = 10
"""Wait for the last lines of a process that ended to reach its log."""


class ServiceEndedError(MarketDataError):
    """A service ended without being stopped; the message quotes the end of its log."""


class Service:
    """A process in its own session, so that the terminal's Ctrl-C does not reach it.

    On Linux the process gets SIGTERM when this process dies for whatever reason. On other systems
    it survives a supervisor that was killed with SIGKILL, and must be stopped by hand.
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
                preexec_fn=_exit_with_parent(os.getpid()),  # noqa: PLW1509  no thread holds a lock
            )

    def check(self) -> None:
        """Check that the process is running.

        Raises:
            ServiceEndedError: it is not.
        """
        status = self._process.poll()
        if status is not None:
            self._writer.wait(LOG_SECONDS)
            raise ServiceEndedError(
                f"the {self.name} ended unexpectedly {_describe_status(status)}; last lines of "
                f"{str(self.log)!r}:\n{last_lines(self.log)}"
            )

    def stop(self, seconds: float) -> bool:
        """Send SIGTERM; after the timeout kill the whole session and return False."""
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
    """Become the parent of orphaned descendants (Linux only).

    A server whose starter has ended can then be waited for.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def wait_for(pid: int, seconds: float) -> None:
    """Wait until a child process ends or the time is up; return at once if it is not a child."""
    deadline = time.monotonic() + seconds
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(pid, os.WNOHANG) == (0, 0) and time.monotonic() < deadline:
            time.sleep(0.05)


def _describe_status(status: int) -> str:
    """Describe a return code of `subprocess`, where a negative one is a signal."""
    if status >= 0:
        return f"with exit status {status}"
    return f"(killed by signal {-status}, {signal.strsignal(-status)})"


def last_lines(log: Path) -> str:
    """Return the last lines of a log, indented."""
    with log.open(encoding="utf-8", errors="replace") as file:
        return "".join(f"  {line}" for line in deque(file, LAST_LINES)).rstrip()


def _exit_with_parent(parent: int) -> Callable[[], None] | None:
    """Return a `preexec_fn` that requests SIGTERM from the kernel when the parent dies."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def request_signal() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # the parent died before the request
            os.kill(os.getpid(), signal.SIGTERM)

    return request_signal
