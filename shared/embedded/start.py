"""Starts the embedded PostgreSQL and creates its data folder, database and logins.

The package's own `get_server()` is not used: as root it adds a user to the system and makes all
folders above the data accessible to everyone.
"""

import contextlib
import os
import re
import shlex
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg2
from psycopg2 import sql

from shared.embedded.home import ServerHome
from shared.embedded.programs import MAJOR
from shared.embedded.rotating_log import RotatingLog
from shared.embedded.state import OWNER, PORT, StillStartingError, has_processes, server_lock
from shared.errors import ConfigurationError
from shared.schema.base import READER_ROLE

READER = "kasparro_api"
DATABASE = "kasparro"

STILL_ENDING = "pre-existing shared memory block"
"""PostgreSQL's message while processes of a killed server are still ending."""

RECOVERY_ADVICE = (
    "put a backup in its place, or move it away and start again: the sources are then read again"
)
LOG_SECONDS = 10
"""Wait for the last lines of a server that ended to reach its log."""


def start(
    home: ServerHome, options: Mapping[str, str], start_seconds: float, stop_seconds: float
) -> tuple[Path, RotatingLog]:
    """Start the server and return its socket and log; create the data folder if it is missing.

    Raises:
        StillStartingError: it is not ready after `start_seconds`; it continues to start.
        ConfigurationError: it does not start.
    """
    if not home.data.exists():
        _create_data_folder(home)
    _check_version(home)
    socket = home.socket_folder()
    for stale in socket.glob(".s.PGSQL.*"):  # another process may have the same process id now
        stale.unlink()
    options = {**options, "port": PORT, "unix_socket_directories": f'"{socket}"'}
    arguments = (
        "start",
        "--silent",
        "--wait",
        f"--timeout={max(1, round(start_seconds))}",
        f"--options={shlex.join(f'--{name}={value}' for name, value in options.items())}",
        "-p",
        _quoted(home.binaries / "postgres"),
    )
    deadline = time.monotonic() + stop_seconds
    while True:
        with server_lock(home, stop_seconds) as lock:
            log, log_size = RotatingLog(home.log), home.log.stat().st_size
            try:
                with log.output() as output:
                    started = home.run(
                        "pg_ctl",
                        *arguments,
                        environ={"PGDATA": str(home.data)},
                        seconds=start_seconds + stop_seconds,
                        inherits=(lock,),
                        output=output,
                    )
            except BaseException:
                log.wait(0)
                raise
        if not started.returncode:
            return socket, log
        if has_processes(home):
            log.wait(0)
            raise StillStartingError(
                f"the embedded PostgreSQL on {str(home.data)!r} is still starting after "
                f"{start_seconds:.0f} s, perhaps because it recovers from a crash; it continues in "
                f"the background, so start again later (log: {str(home.log)!r})"
            )
        log.wait(LOG_SECONDS)
        reason = _failure_reason(home.log, log_size)
        if STILL_ENDING not in reason or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    raise ConfigurationError(
        f"the embedded PostgreSQL does not start on {str(home.data)!r}: {reason!r} "
        f"(log: {str(home.log)!r}); if the folder is damaged, {RECOVERY_ADVICE}"
    )


def _create_data_folder(home: ServerHome) -> None:
    """Create the data folder under another name and rename it, so that it is complete or absent."""
    new = home.data.with_name("data.new")
    try:
        if new.exists():
            shutil.rmtree(new)
        new.mkdir(mode=0o700)
        home.give_to_server_user(new)
    except OSError as exc:
        raise ConfigurationError(f"cannot create {str(new)!r}: {exc.strerror}") from exc
    created = home.run(
        "initdb",
        f"--pgdata={new}",
        f"--username={OWNER}",
        "--auth-local=trust",
        "--auth-host=reject",
        "--encoding=UTF8",
        # Sorts by code point and supports the case of all letters, the same on every machine.
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
    )
    if created.returncode:
        raise ConfigurationError(
            f"the embedded PostgreSQL cannot create its data folder {str(home.data)!r}: "
            f"{created.stderr.strip()!r}"
        )
    new.rename(home.data)


def _check_version(home: ServerHome) -> None:
    try:
        found = (home.data / "PG_VERSION").read_text().strip()
    except OSError as exc:
        raise ConfigurationError(
            f"{str(home.data)!r} is damaged: PG_VERSION: {exc.strerror}; {RECOVERY_ADVICE}"
        ) from exc
    if found != str(MAJOR):
        raise ConfigurationError(
            f"{str(home.data)!r} was written by PostgreSQL {found}, but this release uses {MAJOR}; "
            f"export it with the release that wrote it and pg_dump, or {RECOVERY_ADVICE}"
        )


def prepare(socket: Path) -> str:
    """Create the database and the API's login if missing, and return the server's version."""
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


def _failure_reason(log: Path, since: int) -> str:
    """Return the first fatal line after this position of the log, or else the last line."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(since if since <= size else 0)  # the log was rotated
        lines = file.read().decode(errors="replace").splitlines()
    own = [line for line in lines if not re.match("pg_ctl:|Examine the log output", line)]
    fatal = [line for line in own if re.search(r"\b(FATAL|PANIC):", line)]
    return (fatal or own[-1:] or lines[-1:] or [""])[0]


def _quoted(path: Path) -> str:
    """Escape a path for double quotes, because `pg_ctl` puts it into a shell command."""
    return re.sub(r'([$`"\\])', r"\\\1", str(path))
