"""The embedded PostgreSQL: what the program uses while `DATABASE_URL` is not set.

The first command that needs it starts the server, later ones join it, and the last to leave stops
it. Every user of the server holds a shared lock on one file: the kernel drops it when the user
dies, so a count of users is never wrong. A server that is left over because its last user was
killed is joined by the next start. It listens on a Unix socket only.
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
    opened,
    record_start,
    serves,
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
    # There is no replica and no archive: no more is logged than a crash needs.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    "checkpoint_timeout": "15min",
    "log_checkpoints": "off",
    # The statement of an error may hold a payload or be megabytes long; its message is enough.
    "log_min_error_statement": "panic",
    "jit": "off",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """How many seconds each wait for the server may take; then an error says what was waited for.

    Recovery after a crash reads up to `max_wal_size` again, so `start` is long.
    """

    start: float = 300
    stop: float = 60
    """For each of the two ways to stop it: `fast`, then `immediate`."""
    join: float = 15

    @property
    def turn(self) -> float:
        """For another command that starts or stops the server."""
        return self.start + 3 * self.stop


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that runs at least as long as the `with` block that gave it."""

    url: URL
    reader_url: URL
    data: Path
    log: Path
    version: str
    pid: int
    socket: Path

    def is_running(self) -> bool:
        """Whether it still accepts connections; it may have been killed."""
        return accepts_connections(self.socket)


def project_folder() -> Path:
    """Return the checkout that this code runs from; where it is installed, the current folder."""
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / "pyproject.toml").exists() else Path.cwd()


class EmbeddedPostgres:
    """The server of one project folder; `options` are server settings over this module's."""

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
        """Start the server, or join it where it runs; stop it after, unless others use it.

        Raises:
            ConfigurationError: with what to do, where it cannot run or does not stop.
        """
        home = find_home(self._project)
        home.create()
        with opened(home, "users") as users:
            with self._turn(home):
                fcntl.flock(users, fcntl.LOCK_SH)
                try:
                    server = self._join(home)
                except StillStartingError:
                    raise  # Stopped now, its next start would begin the recovery again.
                except BaseException as exc:
                    self._leave_after(exc, home, users)
                    raise
            try:
                yield server
            except BaseException as exc:
                with self._turn(home):
                    self._leave_after(exc, home, users)
                raise
            with self._turn(home):
                self._leave(home, users)

    @contextlib.contextmanager
    def _turn(self, home: ServerHome) -> Iterator[None]:
        """Let one process start, join or leave the server at a time."""
        with opened(home, "lock") as lock:
            if not lock_within(lock, fcntl.LOCK_EX, self._limits.turn):
                raise ConfigurationError(
                    f"another command has been starting or stopping the embedded PostgreSQL in "
                    f"{str(home.folder)!r} for {self._limits.turn:.0f} s; end it, and try again "
                    f"(log: {str(home.log)!r})"
                )
            yield

    def _join(self, home: ServerHome) -> RunningServer:
        """Join the server or start it; one that is dying just now, once it is dead."""
        limits = self._limits
        give_up = time.monotonic() + limits.join
        while True:
            socket = find_running(home, limits.start, limits.join)
            if socket is None:
                socket, self._log = start(home, self._options, limits.start, limits.stop)
            try:
                version = prepare(socket)
                found = PidFile.read(home)
                if found and found.pid:
                    record_start(home, found)
                    break
                reason = "its postmaster.pid is not there"
            except psycopg2.OperationalError as exc:
                reason = str(exc).strip()
            if time.monotonic() > give_up:
                raise ConfigurationError(
                    f"the embedded PostgreSQL on {str(home.data)!r} runs but does not answer: "
                    f"{reason!r} (log: {str(home.log)!r})"
                )
            time.sleep(PAUSE_SECONDS)
        return RunningServer(
            url=_url(socket, OWNER),
            reader_url=_url(socket, READER),
            data=home.data,
            log=home.log,
            version=version,
            pid=found.pid,
            socket=socket,
        )

    def _leave_after(self, exc: BaseException, home: ServerHome, users: int) -> None:
        """Leave because of an error, which stays the one that is reported."""
        try:
            self._leave(home, users)
        except ConfigurationError as also:
            exc.add_note(str(also))

    def _leave(self, home: ServerHome, users: int) -> None:
        """Give up the share in the server, and stop it when no one else has one.

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
        found = self._find_alive(home)
        if found is None:
            return
        said = ""
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
            said = stopped.stderr.strip()
            if not stopped.returncode and self._has_ended(home):
                return
        raise ConfigurationError(
            f"the embedded PostgreSQL on {str(home.data)!r} (process {found.pid}) does not stop "
            f"within {2 * self._limits.stop:.0f} s: {said!r} (log: {str(home.log)!r}); it may be "
            "writing to a slow disk: wait for it, or end that process"
        )

    def _find_alive(self, home: ServerHome) -> PidFile | None:
        """Read the pid file of a server that lives, and not just one of its number.

        One that was killed leaves processes for a moment; one that starts, accepts connections in
        a moment.
        """
        give_up = time.monotonic() + self._limits.join
        while (found := PidFile.read(home)) is not None:
            inherited = has_processes(home)
            if found.socket and accepts_connections(found.socket):
                return found if inherited or serves(found.socket, home) else None
            if not inherited:
                return None
            if time.monotonic() > give_up:
                return None if status(home)[0] else found
            time.sleep(PAUSE_SECONDS)
        return None

    def _has_ended(self, home: ServerHome) -> bool:
        """Wait until no process is left: the pid file goes an instant before the last."""
        with opened(home, "server.lock") as file:
            return lock_within(file, fcntl.LOCK_SH, self._limits.stop)


def find_reader_url(project: Path) -> URL | None:
    """Say where the API's login finds the project's server; None unless it runs. Starts nothing."""
    for folder in possible_folders(project):
        with contextlib.suppress(OSError):
            text = (folder / "data" / "postmaster.pid").read_text(errors="replace")
            found = PidFile.parse(text)
            if found.is_ready and found.socket:
                return _url(found.socket, READER)
    return None


def _url(socket: Path, login: str) -> URL:
    query = {"host": str(socket), "port": PORT}
    return URL.create("postgresql+psycopg2", username=login, database=DATABASE, query=query)
