"""The embedded PostgreSQL, which is used while `DATABASE_URL` is not set.

The first command starts the server, later commands join it, and the last one stops it. Each command
holds a shared lock on the same file. The kernel releases it when the command dies, so the number
of users is always right. If the last user is killed, the server keeps running, and the next
command joins it. The server listens on a Unix socket only.
"""

import contextlib
import fcntl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from sqlalchemy.engine import URL

from shared.embedded.home import PAUSE_SECONDS, ServerHome, find_home, lock_within, possible_folders
from shared.embedded.rotating_log import RotatingLog
from shared.embedded.start import DATABASE, LOG_SECONDS, READER, prepare, start
from shared.embedded.state import (
    OWNER,
    PORT,
    PidFile,
    StillStartingError,
    accepts_connections,
    find_running,
    has_processes,
    open_file,
    record_start,
    serves_data_of,
    status,
)
from shared.errors import ConfigurationError

OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    # No replica and no archive: the WAL is only needed for crash recovery.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    "checkpoint_timeout": "15min",
    "log_checkpoints": "off",
    # The statement of an error may contain a payload or be megabytes long; the message is enough.
    "log_min_error_statement": "panic",
    "jit": "off",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits in seconds for waiting for the server.

    `start` is long because recovery after a crash reads up to `max_wal_size`.
    """

    start: float = 300
    stop: float = 60
    """For each of the two stop modes, `fast` and `immediate`."""
    join: float = 15

    @property
    def lock(self) -> float:
        """For another command that is starting or stopping the server."""
        return self.start + 3 * self.stop


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that runs at least as long as the `with` block that yielded it."""

    url: URL
    reader_url: URL
    data: Path
    log: Path
    version: str
    pid: int
    socket: Path

    def is_running(self) -> bool:

        return accepts_connections(self.socket)


def project_folder() -> Path:
    """Return the checkout of this code, or the current folder if the code is installed."""
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / "pyproject.toml").exists() else Path.cwd()


class EmbeddedPostgres:
    """The server of a project folder; `options` override the server settings of this module."""

    def __init__(
        self,
        project: Path,
        options: Mapping[str, str] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._project = project
        self._options = {**OPTIONS, **(options or {})}
        self._limits = limits or Limits()
        self._log: RotatingLog | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[RunningServer]:
        """Start or join the server, and stop it at the end unless other commands use it.

        Raises:
            ConfigurationError: the server cannot run or does not stop.
        """
        home = find_home(self._project)
        home.create()
        with open_file(home, "users") as users:
            with self._exclusive(home):
                fcntl.flock(users, fcntl.LOCK_SH)
                try:
                    server = self._join(home)
                except StillStartingError:
                    raise  # not stopped, because the next start would repeat the recovery
                except BaseException as exc:
                    self._leave_after(exc, home, users)
                    raise
            try:
                yield server
            except BaseException as exc:
                with self._exclusive(home):
                    self._leave_after(exc, home, users)
                raise
            with self._exclusive(home):
                self._leave(home, users)

    @contextlib.contextmanager
    def _exclusive(self, home: ServerHome) -> Iterator[None]:
        """Allow one process at a time to start, join or leave the server."""
        with open_file(home, "lock") as lock:
            if not lock_within(lock, fcntl.LOCK_EX, self._limits.lock):
                raise ConfigurationError(
                    f"another command has been starting or stopping the embedded PostgreSQL in "
                    f"{str(home.folder)!r} for {self._limits.lock:.0f} s; end it, and try again "
                    f"(log: {str(home.log)!r})"
                )
            yield

    def _join(self, home: ServerHome) -> RunningServer:
        """Join the server or start it; wait for one that is ending."""
        limits = self._limits
        deadline = time.monotonic() + limits.join
        while True:
            socket = find_running(home, limits.start, limits.join)
            if socket is None:
                socket, self._log = start(home, self._options, limits.start, limits.stop)
            try:
                version = prepare(socket)
                pid_file = PidFile.read(home)
                if pid_file and pid_file.pid:
                    record_start(home, pid_file)
                    break
                reason = "postmaster.pid does not exist"
            except psycopg2.OperationalError as exc:
                reason = str(exc).strip()
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"the embedded PostgreSQL on {str(home.data)!r} is running, but does not "
                    f"respond: {reason!r} (log: {str(home.log)!r})"
                )
            time.sleep(PAUSE_SECONDS)
        return RunningServer(
            url=_url(socket, OWNER),
            reader_url=_url(socket, READER),
            data=home.data,
            log=home.log,
            version=version,
            pid=pid_file.pid,
            socket=socket,
        )

    def _leave_after(self, exc: BaseException, home: ServerHome, users: int) -> None:
        """Leave after an error; another error is added to it as a note."""
        try:
            self._leave(home, users)
        except ConfigurationError as second:
            exc.add_note(str(second))

    def _leave(self, home: ServerHome, users: int) -> None:
        """Stop the server unless another command uses it.

        Raises:
            ConfigurationError: it does not stop.
        """
        try:
            if lock_within(users, fcntl.LOCK_EX, 0):
                self._stop(home)
        finally:
            if self._log is not None:
                self._log.wait(0 if has_processes(home) else LOG_SECONDS)
                self._log = None

    def _stop(self, home: ServerHome) -> None:
        pid_file = self._find_running(home)
        if pid_file is None:
            return
        message = ""
        for mode in ("fast", "immediate"):
            stopped = home.run(
                "pg_ctl",
                "stop",
                "--silent",
                "--wait",
                f"--timeout={max(1, round(self._limits.stop))}",
                f"--mode={mode}",
                environ={"PGDATA": str(home.data)},
                seconds=2 * self._limits.stop,
            )
            message = stopped.stderr.strip()
            if not stopped.returncode and self._has_ended(home):
                return
        raise ConfigurationError(
            f"the embedded PostgreSQL on {str(home.data)!r} (process {pid_file.pid}) does not stop "
            f"within {2 * self._limits.stop:.0f} s: {message!r} (log: {str(home.log)!r}); it may "
            "be writing to a slow disk: wait for it, or end that process"
        )

    def _find_running(self, home: ServerHome) -> PidFile | None:
        """Return the pid file if its server is running, and not just a process with the same id.

        Waits for a server that was killed and still has processes, and for one that is starting.
        """
        deadline = time.monotonic() + self._limits.join
        while (pid_file := PidFile.read(home)) is not None:
            is_locked = has_processes(home)
            if pid_file.socket and accepts_connections(pid_file.socket):
                return pid_file if is_locked or serves_data_of(home, pid_file.socket) else None
            if not is_locked:
                return None
            if time.monotonic() > deadline:
                return None if status(home)[0] else pid_file
            time.sleep(PAUSE_SECONDS)
        return None

    def _has_ended(self, home: ServerHome) -> bool:
        """Wait until all processes have ended; the pid file is removed just before the last."""
        with open_file(home, "server.lock") as file:
            return lock_within(file, fcntl.LOCK_SH, self._limits.stop)


def find_reader_url(project: Path) -> URL | None:
    """Return the API's URL of the project's server; None if it is not running."""
    for folder in possible_folders(project):
        with contextlib.suppress(OSError):
            text = (folder / "data" / "postmaster.pid").read_text(errors="replace")
            pid_file = PidFile.parse(text)
            if pid_file.is_ready and pid_file.socket:
                return _url(pid_file.socket, READER)
    return None


def _url(socket: Path, login: str) -> URL:
    query = {"host": str(socket), "port": PORT}
    return URL.create("postgresql+psycopg2", username=login, database=DATABASE, query=query)
