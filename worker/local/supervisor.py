"""What `make run` starts: the database, the worker's loop and the API; it stops them in order."""

import fcntl
import http.client
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.engine import URL

from shared.embedded.server import EmbeddedPostgres, RunningServer, project_folder
from shared.errors import ConfigurationError
from shared.settings import Settings
from worker.curation import sample
from worker.database.engine import writer_engine
from worker.ingest.journal import read_due
from worker.local.api_login import own_login
from worker.local.child import Child, EndedByItselfError, adopt_orphans, last_lines, wait_for
from worker.local.news import SAMPLE_OVER, SAMPLE_SHOWN, News, _short, say
from worker.maintenance import report
from worker.maintenance.migrate import ensure_reader_login, upgrade

API_CONFIG = Path(__file__).resolve().parents[2] / "api" / "server" / "gunicorn.conf.py"

WORKER_STOP_SECONDS = 60
"""For the batch in flight, and for a request that has to run into its timeout."""
API_STOP_SECONDS = 25
DATABASE_STOP_SECONDS = 10
"""Until its process is gone after it has stopped."""
API_START_SECONDS = 60

ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


@dataclass(frozen=True, slots=True)
class Databases:
    """The worker's login and the API's; `server` is the embedded one, where that is used."""

    url: URL
    reader_url: URL
    server: RunningServer | None


def serve(settings: Settings) -> int:
    """Run everything until Ctrl-C or SIGTERM; return 0 then, and 1 where a part ended by itself.

    Raises:
        ConfigurationError: it cannot start; nothing is left running.
    """
    folder = project_folder() / ".local"
    check_port(settings.api_host, settings.api_port)
    with _alone(folder), _stop_on_signals() as stop:
        say("starting")
        status = _serve(settings, folder, stop)
    say("stopped")
    return status


def _serve(settings: Settings, folder: Path, stop: threading.Event) -> int:
    with _databases(settings, folder) as databases:
        upgrade(databases.url)
        if databases.server is None:
            ensure_reader_login(databases.url, databases.reader_url)
        engine = writer_engine(databases.url, "kasparro make run")
        parts = Parts(settings, folder / "logs", databases, engine, stop)
        try:
            parts.run()
        except EndedByItselfError as exc:
            say(f"Error: {exc}", err=True)
            return 1
        finally:
            also = ", and the database" if databases.server else ""
            say(f"stopping the worker after the batch in flight, the API{also}")
            parts.stop()
            engine.dispose()
    return 0


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one of these run in a folder; the kernel forgets the lock when it dies.

    Raises:
        ConfigurationError: one runs already; the message has its number.
    """
    folder.mkdir(exist_ok=True)
    with (folder / "run.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            lock.seek(0)
            raise ConfigurationError(
                f"`make run` runs in this folder already, as process {lock.read().strip()}; stop "
                "it first (Ctrl-C, or SIGTERM)"
            ) from exc
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def check_port(host: str, port: int) -> None:
    """Check that the API can have its port.

    Raises:
        ConfigurationError: it is taken, or not to be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
    except OSError as exc:
        other = port + 1 if port >= 1024 else 8000  # noqa: PLR2004  below it only root may listen
        raise ConfigurationError(
            f"the API cannot listen on {host}:{port}: {exc.strerror}; stop what does, or choose "
            f"another port: API_PORT={other} make run"
        ) from exc


@contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C, SIGTERM and the terminal's end set, as often as they come."""
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    yield stop
    for number, handler in before.items():
        signal.signal(number, handler)


@contextmanager
def _databases(settings: Settings, folder: Path) -> Iterator[Databases]:
    """Give the configured database, or else the embedded one while the block lasts."""
    url, reader_url = settings.database_url, settings.api_database_url
    if url is not None:
        reader_url = reader_url or own_login(url, folder / "api-logins.json", say)
        yield Databases(url, reader_url, None)
    elif reader_url is not None:
        raise ConfigurationError(
            "API_DATABASE_URL is set and DATABASE_URL is not: the API would not show what the "
            "worker loads; set both, or neither for the embedded database"
        )
    else:
        adopt_orphans()
        with EmbeddedPostgres(project_folder()).running() as server:
            yield Databases(server.url, server.reader_url, server)
        if not server.is_running():
            wait_for(server.pid, DATABASE_STOP_SECONDS)


class Parts:
    """The worker and the API as children of this process, on databases that are there."""

    def __init__(
        self,
        settings: Settings,
        logs: Path,
        databases: Databases,
        engine: Engine,
        stop: threading.Event,
    ) -> None:
        self._settings = settings
        self._logs = logs
        self._databases = databases
        self._engine = engine
        self._stop = stop
        self._worker: Child | None = None
        self._api: Child | None = None

    def run(self) -> None:
        """Start both, say what goes on, and watch until told to stop.

        Raises:
            EndedByItselfError: one of them ended, or the database did.
        """
        if self._stop.is_set():
            return
        with self._engine.connect() as conn:
            assets, newest = report.count_assets(conn), report.read_runs(conn, 1)
            due = read_due(conn, self._settings.sources)
            sample_is_over = sample.is_over(conn)
        self._start()
        self._wait_for_the_api()
        self._introduce(assets, sample_is_over=sample_is_over)
        news = News(self._engine, due, newest[0].id if newest else 0)
        while not self._stop.is_set():
            self._check()
            news.tell()
            if news.is_time_for_advice():
                self._advise()
            self._stop.wait(1 if news.all_told else 0.2)

    def stop(self) -> None:
        """End the worker, then the API."""
        for child, seconds in ((self._worker, WORKER_STOP_SECONDS), (self._api, API_STOP_SECONDS)):
            if child is not None and not child.stop(seconds):
                say(f"the {child.name} did not end within {seconds} s and was killed")

    def _start(self) -> None:
        self._logs.mkdir(parents=True, exist_ok=True)
        environ = {
            name: value
            for name, value in os.environ.items()
            if name not in {"DATABASE_URL", "API_DATABASE_URL"}
        }
        url = self._databases.url.render_as_string(hide_password=False)
        reader_url = self._databases.reader_url.render_as_string(hide_password=False)
        self._worker = Child(
            "worker",
            [sys.executable, "-m", "worker", "run"],
            {**environ, "DATABASE_URL": url},
            self._logs / "worker.log",
        )
        self._api = Child(
            "API",
            [sys.executable, "-m", "gunicorn", "--config", str(API_CONFIG), "api.wsgi:app"],
            {**environ, "API_DATABASE_URL": reader_url},
            self._logs / "api.log",
        )

    def _check(self) -> None:
        for child in (self._worker, self._api):
            if child is not None:
                child.check()
        server = self._databases.server
        if server is not None and not server.is_running():
            raise EndedByItselfError(
                f"the database ended by itself; the end of {str(server.log)!r}:\n"
                f"{last_lines(server.log)}"
            )

    def _wait_for_the_api(self) -> None:
        give_up = time.monotonic() + API_START_SECONDS
        host = ANY_ADDRESS.get(self._settings.api_host, self._settings.api_host)
        while not self._stop.is_set():
            self._check()
            if _is_alive(host, self._settings.api_port):
                return
            if time.monotonic() > give_up:
                raise EndedByItselfError(f"the API does not answer; see {str(self._logs)!r}")
            self._stop.wait(0.1)

    def _introduce(self, assets: int, *, sample_is_over: bool) -> None:
        server, url, settings = self._databases.server, self._databases.url, self._settings
        if server is None:
            say(f"database  {url.host or url.query.get('host')}, {url.database!r}")
        else:
            say(f"database  PostgreSQL {server.version}, this machine only, in {server.data}")
        say(f"          {assets:,} assets so far")
        say(
            f"worker    {', '.join(settings.sources)}; every {settings.run_interval_seconds} s, "
            f"log in {_short(self._logs / 'worker.log')}"
        )
        if settings.csv_path is None and "csv" in settings.sources:
            say(f"          csv is {SAMPLE_OVER if sample_is_over else SAMPLE_SHOWN}")
        say(f"API       {self._api_url()}, log in {_short(self._logs / 'api.log')}")

    def _advise(self) -> None:
        say("try       " + f"curl '{self._api_url()}/data?symbol=BTC'")
        say("          " + f"curl '{self._api_url()}/stats'")
        say("          .venv/bin/worker status")
        say("          Ctrl-C stops all of it")

    def _api_url(self) -> str:
        host = ANY_ADDRESS.get(self._settings.api_host, self._settings.api_host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self._settings.api_port}"


def _is_alive(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
