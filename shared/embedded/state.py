"""Whether the embedded PostgreSQL lives: from facts that any user may read, in any container.

Process numbers tell too little. Another user's process cannot be inspected without
`CAP_SYS_PTRACE`, another container's is not visible at all, and a number is given out again. Two
facts are certain everywhere:

- Every process of the server inherits a lock on `server.lock`. The kernel drops it with the last of
  them, so a free lock means that none is left.
- A socket that accepts connections has a living server behind it.

A server that was started without the lock, by release 0.1.0, is judged by its socket and by
`pg_ctl status`, which is run as the server's user. What that leaves open stays open: it is waited
for, then reported, and `postmaster.pid` is not touched.
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
"""Exit status of `pg_ctl status` where the process in `postmaster.pid` is not a server."""


class StillStartingError(ConfigurationError):
    """The server is not ready yet, and goes on getting ready: it recovers from a crash."""


@dataclass(frozen=True, slots=True)
class PidFile:
    """What `postmaster.pid` says; the parts that are not written yet are empty."""

    lines: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "PidFile":
        return cls(tuple(text.splitlines()))

    @classmethod
    def read(cls, home: ServerHome) -> "PidFile | None":
        """Read it; None where there is none.

        Raises:
            ConfigurationError: it cannot be read, so whether a server runs is not known.
        """
        try:
            return cls.parse(_path(home).read_text(errors="replace"))
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise ConfigurationError(
                f"{str(_path(home))!r} cannot be read: {exc.strerror}; whether the embedded "
                "PostgreSQL runs is therefore not known; make the file readable for this user"
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
        """Which start it is of: the data folder, and the second."""
        return "\n".join([self._line(1), self._line(2)])

    def _line(self, number: int) -> str:
        return self.lines[number].strip() if len(self.lines) > number else ""


@contextlib.contextmanager
def opened(home: ServerHome, name: str) -> Iterator[int]:
    """Open a file of the server's folder, made where it is missing.

    Raises:
        ConfigurationError: it cannot be opened.
    """
    try:
        file = home.open(home.folder / name)
    except OSError as exc:
        raise ConfigurationError(f"{str(home.folder / name)!r}: {exc.strerror}") from exc
    try:
        yield file
    finally:
        os.close(file)


@contextlib.contextmanager
def server_lock(home: ServerHome, seconds: float) -> Iterator[int]:
    """Give the open and locked file that a server inherits at its start.

    Raises:
        ConfigurationError: processes of an earlier server hold it for longer than so many seconds.
    """
    with opened(home, "server.lock") as file:
        if not lock_within(file, fcntl.LOCK_EX, seconds):
            raise ConfigurationError(
                f"processes of an earlier PostgreSQL still work on {str(home.data)!r} after "
                f"{seconds:.0f} s and have not noticed that their server ended; wait for them or "
                f"end them, then start again (log: {str(home.log)!r})"
            )
        os.ftruncate(file, 0)
        yield file


def record_start(home: ServerHome, found: PidFile) -> None:
    """Note which start the lock is of: that of the server which runs now, if it inherited it.

    Without the note, as on a full disk, a pid file that is left is judged as an older release's.
    """
    if has_processes(home):
        with contextlib.suppress(OSError), opened(home, "server.lock") as file:
            os.ftruncate(file, 0)
            os.pwrite(file, found.start.encode(errors="replace"), 0)


def has_processes(home: ServerHome) -> bool:
    """Whether a process is left of the server that inherited the lock."""
    with opened(home, "server.lock") as file:
        return not lock_within(file, fcntl.LOCK_SH, 0)


def is_of_a_locked_start(home: ServerHome, found: PidFile) -> bool:
    """Whether a pid file is of the server that inherited the lock last.

    Where it is and the lock is free, that server is gone for certain.
    """
    with opened(home, "server.lock") as file:
        recorded = os.pread(file, 10_000, 0).decode(errors="replace")
    return bool(recorded) and recorded == found.start


def accepts_connections(folder: Path) -> bool:
    """Whether a process accepts connections on the socket in a folder; it need not be ready."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(folder / f".s.PGSQL.{PORT}"))
        except (TimeoutError, BlockingIOError):  # its queue is full
            return True
        except OSError:
            return False
        return True


def serves(folder: Path, home: ServerHome) -> bool:
    """Whether the server behind a socket says that it works on this data folder, and no copy."""
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
    """Ask `pg_ctl status` as the server's user; return its exit status and what it says."""
    asked = home.run("pg_ctl", "status", environ={"PGDATA": str(home.data)}, seconds=30)
    return asked.returncode, (asked.stderr or asked.stdout).strip()


def find_running(home: ServerHome, seconds: float, join_seconds: float) -> Path | None:
    """Return the socket folder of the server that is ready; None where none runs.

    A server that is about to be ready, or to end, is waited for.

    Raises:
        StillStartingError: it is neither ready nor gone after `seconds`.
        ConfigurationError: after `join_seconds` it is not known whether the pid file is a living
            server's.
    """
    began = time.monotonic()
    while True:
        found = PidFile.read(home)
        if has_processes(home):
            folder = None if found is None else found.socket
            if found and found.is_ready and folder and accepts_connections(folder):
                return folder
            code, doubt, limit = 0, "", seconds
        elif found is None:
            return None
        elif is_of_a_locked_start(home, found):
            _clear_pid_file(home)
            return None
        else:
            folder = found.socket
            if folder and accepts_connections(folder) and serves(folder, home):
                return folder
            code, doubt = status(home)
            if code == NOT_RUNNING:
                return None  # PostgreSQL itself replaces such a file, or says why not
            limit = seconds if found.pid and not found.is_ready and not code else join_seconds
        if time.monotonic() > began + limit:
            raise _undecided(home, found, doubt, limit)
        time.sleep(PAUSE_SECONDS)


def _clear_pid_file(home: ServerHome) -> None:
    """Remove the pid file of a server that is gone, where its number is another process's now.

    PostgreSQL would take that process for a living server. Any other pid file it replaces itself.
    """
    if status(home)[0] == 0:
        _path(home).unlink(missing_ok=True)


def _undecided(
    home: ServerHome, found: PidFile | None, doubt: str, seconds: float
) -> ConfigurationError:
    pid = None if found is None else found.pid
    named = "an unfinished postmaster.pid" if pid is None else f"process {pid}"
    where = f"{str(home.data)!r} ({named}, log: {str(home.log)!r})"
    if not doubt:
        return StillStartingError(
            f"the embedded PostgreSQL on {where} has been neither ready nor gone for "
            f"{seconds:.0f} s; recovery after a crash may take longer, as the log says: start "
            "again later, or end that process"
        )
    return ConfigurationError(
        f"whether the embedded PostgreSQL runs on {where} is not known after {seconds:.0f} s; "
        f"pg_ctl status says {doubt!r}; end that process, or remove {str(_path(home))!r} if it is "
        "another program's"
    )


def _path(home: ServerHome) -> Path:
    return home.data / "postmaster.pid"
