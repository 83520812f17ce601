"""Whether the embedded PostgreSQL is running, determined in a way that works in containers too.

Process ids are not sufficient. The process of another user cannot be inspected without
`CAP_SYS_PTRACE`, that of another container is not visible, and ids are reused. Two facts are
reliable:

- Every process of the server inherits a lock on `server.lock`. The kernel releases it with the last
  process, so if the lock is free, no process is left.
- If a socket accepts connections, a server is running.

Release 0.1.0 started servers without the lock. They are judged by their socket and by
`pg_ctl status`, run as the server's user. If that is not conclusive, it is reported after a wait,
and `postmaster.pid` is not touched.
"""

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from shared.embedded.home import PAUSE_SECONDS, ServerHome, lock_within
from shared.errors import ConfigurationError

OWNER = "kasparro"
PORT = "5432"
"""Part of the socket's name; no network port is opened."""

NOT_RUNNING = 3
"""Exit status of `pg_ctl status` if the process in `postmaster.pid` is not a server."""


class StillStartingError(ConfigurationError):
    """The server is still starting, for example because it recovers from a crash."""


@dataclass(frozen=True, slots=True)
class PidFile:
    """The content of `postmaster.pid`; parts that are not written yet are empty."""

    lines: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "PidFile":
        return cls(tuple(text.splitlines()))

    @classmethod
    def read(cls, home: ServerHome) -> "PidFile | None":
        """Read the file; return None if it does not exist.

        Raises:
            ConfigurationError: it cannot be read, so it is unknown whether a server is running.
        """
        try:
            return cls.parse(_path(home).read_text(errors="replace"))
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise ConfigurationError(
                f"cannot read {str(_path(home))!r}: {exc.strerror}; it shows whether the embedded "
                "PostgreSQL is running, so make it readable for this user"
            ) from exc

    @property
    def pid(self) -> int | None:
        return int(self._line(0)) if self._line(0).isdecimal() else None

    @property
    def socket(self) -> Path | None:
        return Path(self._line(4)) if self._line(4) else None

    @property
    def is_ready(self) -> bool:
        return self._line(7) == "ready"

    @property
    def start(self) -> str:
        """Identifies a start of the server by its data folder and its time in seconds."""
        return "\n".join([self._line(1), self._line(2)])

    def _line(self, number: int) -> str:
        return self.lines[number].strip() if len(self.lines) > number else ""


@contextlib.contextmanager
def open_file(home: ServerHome, name: str) -> Iterator[int]:
    """Open a file of the server's folder; create it if it is missing.

    Raises:
        ConfigurationError: it cannot be opened.
    """
    try:
        file = home.open(home.folder / name)
    except OSError as exc:
        raise ConfigurationError(
            f"cannot open {str(home.folder / name)!r}: {exc.strerror}"
        ) from exc
    try:
        yield file
    finally:
        os.close(file)


@contextlib.contextmanager
def server_lock(home: ServerHome, seconds: float) -> Iterator[int]:
    """Yield the open and locked file that a server inherits at its start.

    Raises:
        ConfigurationError: processes of an earlier server hold the lock longer than `seconds`.
    """
    with open_file(home, "server.lock") as file:
        if not lock_within(file, fcntl.LOCK_EX, seconds):
            raise ConfigurationError(
                f"processes of an earlier PostgreSQL still use {str(home.data)!r} after "
                f"{seconds:.0f} s, although their server ended; wait for them or end them, then "
                f"start again (log: {str(home.log)!r})"
            )
        os.ftruncate(file, 0)
        yield file


def record_start(home: ServerHome, pid_file: PidFile) -> None:
    """Record in the lock file which start of the server holds the lock.

    Without the record, for example on a full disk, a stale pid file is judged like one of an older
    release.
    """
    if has_processes(home):
        with contextlib.suppress(OSError), open_file(home, "server.lock") as file:
            os.ftruncate(file, 0)
            os.pwrite(file, pid_file.start.encode(errors="replace"), 0)


def has_processes(home: ServerHome) -> bool:
    """Whether a process of the server that inherited the lock is left."""
    with open_file(home, "server.lock") as file:
        return not lock_within(file, fcntl.LOCK_SH, 0)


def is_recorded_start(home: ServerHome, pid_file: PidFile) -> bool:
    """Whether a pid file belongs to the server that last held the lock.

    If it does and the lock is free, that server has certainly ended.
    """
    with open_file(home, "server.lock") as file:
        recorded = os.pread(file, 10_000, 0).decode(errors="replace")
    return bool(recorded) and recorded == pid_file.start


def accepts_connections(folder: Path) -> bool:
    """Whether a server accepts connections on the socket in a folder, even if it is not ready."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(folder / f".s.PGSQL.{PORT}"))
        except (TimeoutError, BlockingIOError):  # the queue of the socket is full
            return True
        except OSError:
            return False
        return True


def serves_data_of(home: ServerHome, folder: Path) -> bool:
    """Whether the server of a socket uses this data folder, and not a copy of it."""
    try:
        connection = psycopg2.connect(
            host=str(folder), port=PORT, user=OWNER, dbname="postgres", connect_timeout=10
        )
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('data_directory')")
            (data,) = cursor.fetchone() or ("",)
            return Path(str(data)).samefile(home.data)
    except (psycopg2.Error, OSError):
        return False


def status(home: ServerHome) -> tuple[int, str]:
    """Run `pg_ctl status` as the server's user; return its exit status and its message."""
    result = home.run("pg_ctl", "status", environ={"PGDATA": str(home.data)}, seconds=30)
    return result.returncode, (result.stderr or result.stdout).strip()


def find_running(home: ServerHome, seconds: float, join_seconds: float) -> Path | None:
    """Return the socket folder of the running server once it is ready; None if none is running.

    Waits for a server that is starting or ending.

    Raises:
        StillStartingError: the server is neither ready nor ended after `seconds`.
        ConfigurationError: after `join_seconds` it is unknown whether the pid file belongs to a
            running server.
    """
    began = time.monotonic()
    while True:
        pid_file = PidFile.read(home)
        if has_processes(home):
            folder = None if pid_file is None else pid_file.socket
            if pid_file and pid_file.is_ready and folder and accepts_connections(folder):
                return folder
            code, message, limit = 0, "", seconds
        elif pid_file is None:
            return None
        elif is_recorded_start(home, pid_file):
            _clear_pid_file(home)
            return None
        else:
            folder = pid_file.socket
            if folder and accepts_connections(folder) and serves_data_of(home, folder):
                return folder
            code, message = status(home)
            if code == NOT_RUNNING:
                return None  # PostgreSQL replaces such a file, or reports why not
            is_starting = pid_file.pid and not pid_file.is_ready and not code
            limit = seconds if is_starting else join_seconds
        if time.monotonic() > began + limit:
            raise _timed_out(home, pid_file, message, limit)
        time.sleep(PAUSE_SECONDS)


def _clear_pid_file(home: ServerHome) -> None:
    """Remove the pid file of an ended server if another process has its process id now.

    PostgreSQL would take that process for a running server. It replaces other stale pid files.
    """
    if status(home)[0] == 0:
        _path(home).unlink(missing_ok=True)


def _timed_out(
    home: ServerHome, pid_file: PidFile | None, message: str, seconds: float
) -> ConfigurationError:
    pid = None if pid_file is None else pid_file.pid
    process = "incomplete postmaster.pid" if pid is None else f"process {pid}"
    where = f"{str(home.data)!r} ({process}, log: {str(home.log)!r})"
    if not message:
        return StillStartingError(
            f"the embedded PostgreSQL on {where} has been neither ready nor ended for "
            f"{seconds:.0f} s; recovery after a crash may take longer (see the log); start again "
            "later, or end that process"
        )
    return ConfigurationError(
        f"it is unknown after {seconds:.0f} s whether the embedded PostgreSQL is running on "
        f"{where}; pg_ctl status reports {message!r}; end that process, or remove "
        f"{str(_path(home))!r} if the process is another program"
    )


def _path(home: ServerHome) -> Path:
    return home.data / "postmaster.pid"
