"""Servers of several versions, and fresh databases there.

The embedded PostgreSQL, and others where they are installed; each with the embedded one's options.
"""

import os
import pwd
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from shared.embedded.home import UNPRIVILEGED_USER, ServerHome
from shared.embedded.programs import MAJOR
from shared.embedded.server import OPTIONS, EmbeddedPostgres
from shared.embedded.start import DATABASE, prepare
from shared.embedded.state import OWNER, PORT
from worker.maintenance.migrate import upgrade

FOLDERS = ("/usr/lib/postgresql/{}/bin", "/usr/pgsql-{}/bin", "/opt/homebrew/opt/postgresql@{}/bin")
"""Where the packages of Debian, of Red Hat and of Homebrew put a version's programs."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs for as long as the `with` block that gave it."""

    url: URL
    version: str
    data: Path

    @contextmanager
    def database(self, name: str = "bench") -> Iterator[URL]:
        """Make a fresh, migrated database, and drop it afterwards."""
        url = self.url.set(database=name)
        self.execute(f"CREATE DATABASE {name}")
        try:
            upgrade(url)
            yield url
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def without_autovacuum(self) -> Iterator[None]:
        """Leave the statistics of all tables as they are, for one `with` block."""
        self.execute("ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()")
        try:
            yield
        finally:
            self.execute("ALTER SYSTEM RESET autovacuum", "SELECT pg_reload_conf()")

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Execute statements, each a transaction."""
        url = self.url.set(database=database)
        engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as conn:
            for statement in statements:
                conn.execute(text(statement))


def absence(major: int) -> str | None:
    """Say why a version cannot run here; None where it can."""
    if major == MAJOR or _programs(major):
        return None
    places = ", ".join(folder.format(major) for folder in FOLDERS)
    return f"it is in none of {places}; POSTGRES_{major}_BIN names its folder"


@contextmanager
def running(major: int, folder: Path) -> Iterator[Server]:
    """Run a server of a version that is not absent, with its data below the folder."""
    if major == MAJOR:
        with EmbeddedPostgres(folder).running() as server:
            yield Server(server.url, server.version, server.data)
    else:
        with running_installed(major, folder) as server:
            yield server


@contextmanager
def running_installed(
    major: int, folder: Path, locale: str = "C", options: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run a server of a version other than the embedded one, with a locale of libc."""
    user = pwd.getpwnam(UNPRIVILEGED_USER).pw_uid if os.geteuid() == 0 else None
    home = ServerHome(folder / f"postgres-{major}", _programs(major) or Path(), user)
    home.create()
    home.data.mkdir(mode=0o700)
    home.give_to_server_user(home.data)
    socket = home.socket_folder()
    logins = (f"--username={OWNER}", "--auth-local=trust", "--auth-host=reject")
    _run(home, "initdb", *logins, "--encoding=UTF8", f"--locale={locale}")
    settings = {**OPTIONS, **(options or {}), "port": PORT, "unix_socket_directories": str(socket)}
    words = shlex.join(f"--{name}={value}" for name, value in settings.items())
    _run(
        home, "pg_ctl", "start", "--wait", f"--log={home.data / 'server.log'}", f"--options={words}"
    )
    try:
        query = {"host": str(socket), "port": PORT}
        url = URL.create("postgresql+psycopg2", username=OWNER, database=DATABASE, query=query)
        yield Server(url, prepare(socket).split()[0], home.data)
    finally:
        _run(home, "pg_ctl", "stop", "--wait", "--mode=fast")


def _programs(major: int) -> Path | None:
    """Find the folder of a version's programs."""
    named = os.environ.get(f"POSTGRES_{major}_BIN")
    places = [named] if named else [folder.format(major) for folder in FOLDERS]
    return next((Path(place) for place in places if (Path(place) / "postgres").exists()), None)


def _run(home: ServerHome, program: str, *arguments: str) -> None:
    with (home.folder / f"{program}.log").open("w") as output:
        ended = home.run(
            program, *arguments, environ={"PGDATA": str(home.data)}, output=output.fileno()
        )
    if ended.returncode:
        raise SystemExit(f"{program}: {(home.folder / f'{program}.log').read_text()}")
