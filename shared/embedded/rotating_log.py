"""A log file of another program's output, rotated while it is written.

Run as a script, this copies its standard input into a log file until the input ends. What is
copied is a pipe that services write to: so a file can be replaced by the next at any time without
a service that notices, and no line is lost or cut. The script outlives the process that started
it, for as long as a service has the pipe; so it imports the standard library alone.
"""

import contextlib
import io
import logging
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from logging.handlers import RotatingFileHandler
from pathlib import Path

LOG_BYTES = 1_000_000
"""A log file that would grow longer is renamed to `.1`, and that to `.2` and so on."""
OLDER_FILES = 4
LINE_BYTES = 100_000
"""A longer line is written in parts of this length."""
OPEN_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
"""Root writes in another user's folder too, where a name may be a link to anywhere."""


class LogFile(RotatingFileHandler):
    """A log file that belongs to its folder's owner, and has the mode of the one before it."""

    terminator = ""

    def __init__(self, path: str) -> None:
        super().__init__(
            path,
            maxBytes=LOG_BYTES,
            backupCount=OLDER_FILES,
            encoding="utf-8",
            errors="surrogateescape",
        )

    def _open(self) -> io.TextIOWrapper:
        before = Path(f"{self.baseFilename}.1")
        mode = stat.S_IMODE(before.stat().st_mode) if before.exists() else 0o644
        file = os.open(self.baseFilename, OPEN_FLAGS, mode)
        if os.geteuid() == 0:
            folder = Path(self.baseFilename).parent.stat()
            os.fchown(file, folder.st_uid, folder.st_gid)
        return io.TextIOWrapper(os.fdopen(file, "ab"), encoding=self.encoding, errors=self.errors)


class RotatingLog:
    """A log file, and the process that writes it.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        os.close(os.open(path, OPEN_FLAGS, 0o644))
        reader, self._writer = os.pipe()
        try:
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", __file__, str(path)],
                stdin=reader,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            os.close(self._writer)
            raise
        finally:
            os.close(reader)
        # The process may outlive this object; it is reaped whenever it ends.
        self._reaper = threading.Thread(target=process.wait, daemon=True)
        self._reaper.start()

    @contextlib.contextmanager
    def output(self) -> Iterator[int]:
        """Give the open file that services write to, once; afterwards they alone have it."""
        try:
            yield self._writer
        finally:
            os.close(self._writer)

    def wait(self, seconds: float) -> bool:
        """Wait until all is written, which is after the last service ended; False if it is not."""
        self._reaper.join(seconds)
        return not self._reaper.is_alive()


def copy(path: str) -> None:
    """Copy standard input to a log file until it ends, byte for byte."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    # Where the disk is full lines are lost, but the services that write them are not stopped.
    logging.raiseExceptions = False
    handler = LogFile(path)
    while line := sys.stdin.buffer.readline(LINE_BYTES):
        text = line.decode("utf-8", "surrogateescape")
        handler.emit(logging.LogRecord("output", logging.INFO, path, 0, text, None, None))
    handler.close()


if __name__ == "__main__":
    copy(sys.argv[1])
