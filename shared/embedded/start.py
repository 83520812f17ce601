"""The start of the embedded PostgreSQL: its data folder, its process, its database and logins.

The package's own `get_server()` is not used: started as root it adds a user to the system, and
opens every folder above the data to everyone.
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
"""Said while processes of a server that was killed have not noticed it yet."""

START_ANEW = (
    "put a backup in its place, or move it away and start again: the sources are then read anew"
)
LOG_SECONDS = 10
"""How long the last lines of a server that ended may take to reach its log."""


def start(
    home: ServerHome, options: Mapping[str, str], start_seconds: float, stop_seconds: float
) -> tuple[Path, RotatingLog]:
    """Start the server, on a new data folder where there is none; return its socket and its log.

    Raises:
        StillStartingError: it is not ready after `start_seconds`; it is left to get ready.
        ConfigurationError: it does not start.
    """
    if not home.data.exists():
        _init(home)
    _check_version(home)
    socket = home.socket_folder()
    for left_over in socket.glob(".s.PGSQL.*"):  # their process number may be in use again
        left_over.unlink()
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
    give_up = time.monotonic() + stop_seconds
    while True:
        with server_lock(home, stop_seconds) as lock:
            log, before = RotatingLog(home.log), home.log.stat().st_size
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
                f"the embedded PostgreSQL on {str(home.data)!r} is not ready after "
                f"{start_seconds:.0f} s and still starts, which recovery after a crash may take; "
                f"start again later: it goes on meanwhile (log: {str(home.log)!r})"
            )
        log.wait(LOG_SECONDS)
        reason = _last_words(home.log, before)
        if STILL_ENDING not in reason or time.monotonic() > give_up:
            break
        time.sleep(0.1)
    raise ConfigurationError(
        f"the embedded PostgreSQL does not start on {str(home.data)!r}: {reason!r} "
        f"(log: {str(home.log)!r}); where the folder is damaged, {START_ANEW}"
    )


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


def prepare(socket: Path) -> str:
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


def _last_words(log: Path, since: int) -> str:
    """Return why the server ended: its first fatal line since then, or else its last line."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(since if since <= size else 0)  # the log may have been rotated
        lines = file.read().decode(errors="replace").splitlines()
    own = [line for line in lines if not re.match("pg_ctl:|Examine the log output", line)]
    fatal = [line for line in own if re.search(r"\b(FATAL|PANIC):", line)]
    return (fatal or own[-1:] or lines[-1:] or [""])[0]


def _quoted(path: Path) -> str:
    """Spell a path for the inside of double quotes, where `pg_ctl` puts it in a shell command."""
    return re.sub(r'([$`"\\])', r"\\\1", str(path))
