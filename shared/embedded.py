"""The embedded PostgreSQL: what the program uses while `DATABASE_URL` is not set.

The first command that needs it starts the server, later ones join it, and the last to leave stops
it. Every user of the server holds a shared lock on one file: the kernel drops it when the user
dies, so a count of users is never wrong. A server that is left over because its last user was
killed is joined by the next start. It listens on a Unix socket only.
"""

import contextlib
import fcntl
import os
import re
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2 import sql
from sqlalchemy.engine import URL

from shared.errors import ConfigurationError
from shared.server_home import MAJOR, ServerHome, find_home, possible_folders
from shared.tables import READER_ROLE

OWNER = "kasparro"
READER = "kasparro_api"
DATABASE = "kasparro"
PORT = "5432"
"""Part of the socket's name; no network port is opened."""

START_SECONDS = 300
"""Recovery after a crash reads up to `max_wal_size` again, so a start may take its time."""
STOP_SECONDS = 60
JOIN_SECONDS = 15

OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": PORT,
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

STILL_ENDING = "pre-existing shared memory block"
"""Said while processes of a server that was killed have not noticed it yet."""

START_ANEW = (
    "put a backup in its place, or move it away and start again: the sources are then read anew"
)

LOG_BYTES = 1_000_000
"""A log longer than this is cut to its last tenth when somebody joins."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that runs at least as long as the `with` block that gave it."""

    url: URL
    reader_url: URL
    data: Path
    log: Path
    version: str
    pid: int

    def is_running(self) -> bool:
        """Whether it still runs; it may have been killed."""
        return _works_in(self.pid, self.data)

    def is_in_use(self) -> bool:
        """Whether it runs on for others after the `with` block; a stopped one removes its file."""
        return (self.data / "postmaster.pid").exists() and self.is_running()


def project_folder() -> Path:
    """Return the checkout that this code runs from; where it is installed, the current folder."""
    checkout = Path(__file__).resolve().parent.parent
    return checkout if (checkout / "pyproject.toml").exists() else Path.cwd()


class EmbeddedPostgres:
    """The server of one project folder; `options` are server settings over this module's."""

    def __init__(self, project: Path, options: Mapping[str, str] | None = None) -> None:
        self._project = project
        self._options = {**OPTIONS, **(options or {})}

    @contextlib.contextmanager
    def running(self) -> Iterator[RunningServer]:
        """Start the server, or join it where it runs; stop it after, unless others use it.

        Raises:
            ConfigurationError: with what to do, where it cannot run.
        """
        home = find_home(self._project)
        home.create()
        with _opened(home, "users") as users:
            with _opened(home, "lock") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                fcntl.flock(users, fcntl.LOCK_SH)
                try:
                    server = self._join(home)
                except BaseException:
                    _leave(home, users)
                    raise
            try:
                yield server
            finally:
                with _opened(home, "lock") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    _leave(home, users)

    def _join(self, home: ServerHome) -> RunningServer:
        """Join the server or start it; one that is dying just now, once it is dead."""
        trim_log(home.log)
        give_up = time.monotonic() + JOIN_SECONDS
        while True:
            socket = _running_socket(home) or self._start(home)
            try:
                version = _prepare(socket)
                pid = int((home.data / "postmaster.pid").read_text().split()[0])
                break
            except (psycopg2.OperationalError, OSError) as exc:
                if time.monotonic() > give_up:
                    raise ConfigurationError(
                        f"the embedded PostgreSQL on {str(home.data)!r} runs but does not answer: "
                        f"{str(exc).strip()!r} (log: {str(home.log)!r})"
                    ) from exc
            time.sleep(0.1)
        return RunningServer(
            url=_url(socket, OWNER),
            reader_url=_url(socket, READER),
            data=home.data,
            log=home.log,
            version=version,
            pid=pid,
        )

    def _start(self, home: ServerHome) -> Path:
        if not home.data.exists():
            _init(home)
        _check_version(home)
        socket = home.socket_folder()
        for left_over in socket.glob(".s.PGSQL.*"):  # their process number may be in use again
            left_over.unlink()
        options = {**self._options, "unix_socket_directories": f'"{socket}"'}
        arguments = (
            "start",
            "--silent",
            "--wait",
            f"--timeout={START_SECONDS}",
            f"--log={_quoted(home.log)}",
            f"--options={shlex.join(f'--{name}={value}' for name, value in options.items())}",
            "-p",
            _quoted(home.binaries / "postgres"),
        )
        give_up = time.monotonic() + STOP_SECONDS
        while True:
            before = home.log.stat().st_size
            started = home.run("pg_ctl", *arguments, environ={"PGDATA": str(home.data)})
            if not started.returncode:
                return socket
            reason = _last_words(home.log, before) or started.stderr.strip()
            if STILL_ENDING not in reason or time.monotonic() > give_up:
                break
            time.sleep(0.1)
        raise ConfigurationError(
            f"the embedded PostgreSQL does not start on {str(home.data)!r}: {reason!r} "
            f"(log: {str(home.log)!r}); where the folder is damaged, {START_ANEW}"
        )


def find_reader_url(project: Path) -> URL | None:
    """Say where the API's login finds the project's server; None unless it runs. Starts nothing."""
    for folder in possible_folders(project):
        with contextlib.suppress(OSError, ValueError):
            *_, socket, _, _, state = (folder / "data" / "postmaster.pid").read_text().splitlines()
            if state.strip() == "ready":
                return _url(Path(socket), READER)
    return None


def _url(socket: Path, login: str) -> URL:
    query = {"host": str(socket), "port": PORT}
    return URL.create("postgresql+psycopg2", username=login, database=DATABASE, query=query)


@contextlib.contextmanager
def _opened(home: ServerHome, name: str) -> Iterator[int]:
    try:
        file = home.open(home.folder / name)
    except OSError as exc:
        raise ConfigurationError(f"{str(home.folder / name)!r}: {exc.strerror}") from exc
    try:
        yield file
    finally:
        os.close(file)


def _leave(home: ServerHome, users: int) -> None:
    """Give up the share in the server, and stop it when nobody else has one."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    try:
        pid = int((home.data / "postmaster.pid").read_text().split()[0])
    except (OSError, IndexError, ValueError):
        return
    if not _works_in(pid, home.data):  # it was killed
        return
    for mode in ("fast", "immediate"):
        stopped = home.run(
            "pg_ctl",
            "stop",
            "--silent",
            "--wait",
            f"--timeout={STOP_SECONDS}",
            f"--mode={mode}",
            environ={"PGDATA": str(home.data)},
        )
        if not stopped.returncode:
            return


def _init(home: ServerHome) -> None:
    """Make the data folder under another name and rename it: a broken attempt leaves none."""
    new = home.data.with_name("data.new")
    try:
        if new.exists():
            shutil.rmtree(new)
        new.mkdir(mode=0o700)
        home.give(new)
    except OSError as exc:
        raise ConfigurationError(f"{str(new)!r}: {exc.strerror}") from exc
    made = home.run(
        "initdb",
        f"--pgdata={new}",
        f"--username={OWNER}",
        "--auth-local=trust",
        "--auth-host=reject",
        "--encoding=UTF8",
        # Sorts by code point and knows every letter's case, the same on every machine.
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
    )
    if made.returncode:
        raise ConfigurationError(
            f"the embedded PostgreSQL cannot make its data folder {str(home.data)!r}: "
            f"{made.stderr.strip()!r}"
        )
    new.rename(home.data)


def _check_version(home: ServerHome) -> None:
    try:
        found = (home.data / "PG_VERSION").read_text().strip()
    except OSError as exc:
        raise ConfigurationError(
            f"{str(home.data)!r} is damaged: PG_VERSION: {exc.strerror}; {START_ANEW}"
        ) from exc
    if found != str(MAJOR):
        raise ConfigurationError(
            f"{str(home.data)!r} was written by PostgreSQL {found}, and this is {MAJOR}; use the "
            f"release that wrote it and pg_dump, or {START_ANEW}"
        )


def _running_socket(home: ServerHome) -> Path | None:
    """Return the socket folder of the server that runs on the data folder; None without one.

    A `postmaster.pid` whose number was given to another program since (after a reboot), or whose
    server works on another folder (this one is a copy), is removed: PostgreSQL would take it for a
    living server and refuse to start.
    """
    pid_file = home.data / "postmaster.pid"
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up:
        try:
            lines = pid_file.read_text().splitlines()
            pid = int(lines[0])
            os.kill(pid, 0)
        except (FileNotFoundError, ProcessLookupError, PermissionError, IndexError, ValueError):
            return None
        *_, socket, _, _, state = ["", "", "", *lines]
        if _works_in(pid, home.data):
            if state.strip() == "ready":
                return Path(socket)
        elif not any(_works_in(int(name), home.data) for name in _process_numbers()):
            pid_file.unlink(missing_ok=True)
            return None
        time.sleep(0.05)
    raise ConfigurationError(
        f"a server on {str(home.data)!r} neither gets ready nor ends (process {pid}); "
        f"end it, or remove {str(pid_file)!r} if that is another program"
    )


def _process_numbers() -> list[str]:
    return [path.name for path in Path("/proc").iterdir() if path.name.isdecimal()]


def _works_in(pid: int, folder: Path) -> bool:
    """Whether a living process stands in a folder, as every process of a server does in its data.

    Where the system does not tell (no `/proc`), it is taken for granted.
    """
    if not Path("/proc/self/cwd").exists():
        return True
    try:
        return Path(f"/proc/{pid}/cwd").samefile(folder)
    except OSError:
        return False


def _prepare(socket: Path) -> str:
    """Make the database and the API's login where they are missing; return the server's version."""
    connection = psycopg2.connect(
        host=str(socket), port=PORT, user=OWNER, dbname="postgres", connect_timeout=10
    )
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("SELECT rolname FROM pg_roles")
        roles = {name for (name,) in cursor}
        if READER_ROLE not in roles:
            cursor.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(READER_ROLE)))
        if READER not in roles:
            cursor.execute(
                sql.SQL("CREATE ROLE {} LOGIN IN ROLE {}").format(
                    sql.Identifier(READER), sql.Identifier(READER_ROLE)
                )
            )
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
        if cursor.fetchone() is None:
            cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        cursor.execute("SELECT current_setting('server_version')")
        (version,) = cursor.fetchone() or ("",)
    return str(version)


def trim_log(log: Path) -> None:
    """Cut a long log to its end; whoever writes it appends, so this is safe meanwhile."""
    with log.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size > LOG_BYTES:
            file.seek(size - LOG_BYTES // 10)
            end = file.read()
            file.seek(0)
            file.write(end)
            file.truncate()


def _last_words(log: Path, since: int) -> str:
    """Return why the server ended: its first fatal line since then, or else its last line."""
    with log.open("rb") as file:
        file.seek(since)
        lines = file.read().decode(errors="replace").splitlines()
    fatal = [line for line in lines if re.search(r"\b(FATAL|PANIC):", line)]
    return (fatal or lines[-1:] or [""])[0]


def _quoted(path: Path) -> str:
    """Spell a path for the inside of double quotes, where `pg_ctl` puts it in a shell command."""
    return re.sub(r'([$`"\\])', r"\\\1", str(path))
