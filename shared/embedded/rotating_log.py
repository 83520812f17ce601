"""A rotated log file for the output of another program.

Run as a script, this module copies its standard input to a log file until the input ends. The input
is a pipe to which services write, so files can be rotated without the services, and no line is lost
or cut. The script survives the process that started it as long as a service has the pipe open.
Therefore it imports only the standard library.
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
"""Size at which a log file is renamed to `.1`, the older `.1` to `.2`, and so on."""
OLDER_FILES = 4
LINE_BYTES = 100_000
"""Longer lines are written in parts of this length."""
OPEN_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
"""O_NOFOLLOW because root may write in another user's folder, where a name could be a link."""


class LogFile(RotatingFileHandler):
    """A log file with the owner of its folder and the mode of the previous log file."""

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
        previous = Path(f"{self.baseFilename}.1")
        mode = stat.S_IMODE(previous.stat().st_mode) if previous.exists() else 0o644
        file = os.open(self.baseFilename, OPEN_FLAGS, mode)
        if os.geteuid() == 0:
            folder = Path(self.baseFilename).parent.stat()
            os.fchown(file, folder.st_uid, folder.st_gid)
        return io.TextIOWrapper(os.fdopen(file, "ab"), encoding=self.encoding, errors=self.errors)


class RotatingLog:
    """A log file and the process that writes it.

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
        # The process may outlive this object; the thread waits for its exit status.
        self._reaper = threading.Thread(target=process.wait, daemon=True)
        self._reaper.start()

    @contextlib.contextmanager
    def output(self) -> Iterator[int]:
        """Yield the open pipe for services, once; afterwards only the services have it open."""
        try:
            yield self._writer
        finally:
            os.close(self._writer)

    def wait(self, seconds: float) -> bool:
        """Wait until everything is written, after the last service ended; False on timeout."""
        self._reaper.join(seconds)
        return not self._reaper.is_alive()


def copy(path: str) -> None:
    """Copy standard input to a log file, byte for byte."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    # If the disk is full, lines are lost, but the services are not blocked.
    logging.raiseExceptions = False
    handler = LogFile(path)
    while line := sys.stdin.buffer.readline(LINE_BYTES):
        text = line.decode("utf-8", "surrogateescape")
        handler.emit(logging.LogRecord("output", logging.INFO, path, 0, text, None, None))
    handler.close()


if __name__ == "__main__":
    copy(sys.argv[1])
