"""Starts the database, the worker's loop and the API, watches them, and stops them in order."""

import fcntl
import os
import sys
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
from worker.ingest.runs.due import read_due
from worker.local.api_address import answers, api_url, check_port
from worker.local.api_login import api_login
from worker.local.console import SAMPLE_OVER, SAMPLE_SHOWN, FirstRuns, print_line, relative_path
from worker.local.service import Service, ServiceEndedError, adopt_orphans, last_lines, wait_for
from worker.maintenance import status_queries
from worker.maintenance.migrate import ensure_reader_login, upgrade
from worker.stopping import StopEvent, stop_on_signals

API_CONFIG = Path(__file__).resolve().parents[2] / "api" / "server" / "gunicorn.conf.py"

WORKER_STOP_SECONDS = 60
"""Enough for the current batch, and for a request that ends by its timeout."""
API_STOP_SECONDS = 25
DATABASE_STOP_SECONDS = 10
"""Wait for the process to end after the server has stopped."""
API_START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Databases:
    """The URLs of the worker and the API; `server` is None unless the embedded one is used."""

    url: URL
    reader_url: URL
    server: RunningServer | None


def serve(settings: Settings) -> int:
    """Run all services until Ctrl-C or SIGTERM and return 0; return 1 if a service ended.

    Raises:
        ConfigurationError: a service cannot start; nothing is left running.
    """
    folder = project_folder() / ".local"
    stop = StopEvent()
    with _single_instance(folder, api_url(settings)), stop_on_signals(stop):
        check_port(settings.api_host, settings.api_port)
        print_line("starting")
        status = _serve(settings, folder, stop)
    print_line("stopped")
    return status


def _serve(settings: Settings, folder: Path, stop: StopEvent) -> int:
    with _databases(settings, folder) as databases:
        upgrade(databases.url)
        if databases.server is None:
            ensure_reader_login(databases.url, databases.reader_url)
        engine = writer_engine(databases.url, "kasparro make run")
        services = Services(settings, folder / "logs", databases, engine, stop)
        try:
            services.run()
        except ServiceEndedError as exc:
            print_line(f"Error: {exc}", err=True)
            return 1
        finally:
            database = ", then the database" if databases.server else ""
            print_line(f"stopping the worker after its current batch, then the API{database}")
            services.stop()
            engine.dispose()
    return 0


@contextmanager
def _single_instance(folder: Path, url: str) -> Iterator[None]:
    """Hold a file lock, so that only one instance runs in a folder.

    The kernel releases the lock when the process dies.

    Raises:
        ConfigurationError: another instance is running; the message has its process id and URL.
    """
    folder.mkdir(exist_ok=True)
    with (folder / "run.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            lock.seek(0)
            raise ConfigurationError(
                f"`make run` is already running in this folder as process {lock.read().strip()}; "
                "open that address, or stop the process first (Ctrl-C or SIGTERM)"
            ) from exc
        lock.truncate(0)
        lock.write(f"{os.getpid()} at {url}/\n")
        lock.flush()
        yield


@contextmanager
def _databases(settings: Settings, folder: Path) -> Iterator[Databases]:
    """Yield the configured database, or run the embedded one during the block."""
    url, reader_url = settings.database_url, settings.api_database_url
    if url is not None:
        reader_url = reader_url or api_login(url, folder / "api-logins.json", print_line)
        yield Databases(url, reader_url, None)
    elif reader_url is not None:
        raise ConfigurationError(
            "API_DATABASE_URL is set but DATABASE_URL is not: the API and the worker would use "
            "different databases; set both, or neither for the embedded database"
        )
    else:
        adopt_orphans()
        with EmbeddedPostgres(project_folder()).running() as server:
            yield Databases(server.url, server.reader_url, server)
        if not server.is_running():
            wait_for(server.pid, DATABASE_STOP_SECONDS)


class Services:
    """The worker and the API as child processes, on running databases."""

    def __init__(
        self,
        settings: Settings,
        logs: Path,
        databases: Databases,
        engine: Engine,
        stop: StopEvent,
    ) -> None:
        self._settings = settings
        self._logs = logs
        self._databases = databases
        self._engine = engine
        self._stop = stop
        self._worker: Service | None = None
        self._api: Service | None = None

    def run(self) -> None:
        """Start both, print their state, and watch them until the stop event is set.

        Raises:
            ServiceEndedError: a service or the database ended.
        """
        if self._stop.is_set():
            return
        with self._engine.connect() as conn:
            assets, newest = status_queries.count_assets(conn), status_queries.read_runs(conn, 1)
            due = read_due(conn, self._settings.sources)
            sample_is_over = sample.is_over(conn)
        self._start()
        self._wait_for_the_api()
        self._print_summary(assets, sample_is_over=sample_is_over)
        first_runs = FirstRuns(self._engine, due, newest[0].id if newest else 0)
        while not self._stop.is_set():
            self._check()
            first_runs.report()
            if first_runs.examples_are_due():
                self._print_examples()
            self._stop.wait(1 if first_runs.all_reported else 0.2)

    def stop(self) -> None:
        """Stop the worker, then the API."""
        timeouts = ((self._worker, WORKER_STOP_SECONDS), (self._api, API_STOP_SECONDS))
        for service, seconds in timeouts:
            if service is not None and not service.stop(seconds):
                print_line(f"the {service.name} did not stop within {seconds} s and was killed")

    def _start(self) -> None:
        self._logs.mkdir(parents=True, exist_ok=True)
        environ = {
            name: value
            for name, value in os.environ.items()
            if name not in {"DATABASE_URL", "API_DATABASE_URL"}
        }
        url = self._databases.url.render_as_string(hide_password=False)
        reader_url = self._databases.reader_url.render_as_string(hide_password=False)
        self._worker = Service(
            "worker",
            [sys.executable, "-m", "worker", "run"],
            {**environ, "DATABASE_URL": url},
            self._logs / "worker.log",
        )
        self._api = Service(
            "API",
            [sys.executable, "-m", "gunicorn", "--config", str(API_CONFIG), "api.wsgi:app"],
            {**environ, "API_DATABASE_URL": reader_url},
            self._logs / "api.log",
        )

    def _check(self) -> None:
        for service in (self._worker, self._api):
            if service is not None:
                service.check()
        server = self._databases.server
        if server is not None and not server.is_running():
            raise ServiceEndedError(
                f"the database ended unexpectedly; last lines of {str(server.log)!r}:\n"
                f"{last_lines(server.log)}"
            )

    def _wait_for_the_api(self) -> None:
        deadline = time.monotonic() + API_START_SECONDS
        while not self._stop.is_set():
            self._check()
            if answers(self._settings):
                return
            if time.monotonic() > deadline:
                raise ServiceEndedError(
                    f"the API does not respond after {API_START_SECONDS} s; see {str(self._logs)!r}"
                )
            self._stop.wait(0.1)

    def _print_summary(self, assets: int, *, sample_is_over: bool) -> None:
        server, url, settings = self._databases.server, self._databases.url, self._settings
        if server is None:
            print_line(f"database  {url.host or url.query.get('host')}, {url.database!r}")
        else:
            print_line(
                f"database  PostgreSQL {server.version}, local socket only, data in {server.data}"
            )
        print_line(f"          {assets:,} assets stored")
        print_line(
            f"worker    {', '.join(settings.sources)}; every {settings.run_interval_seconds} s, "
            f"log: {relative_path(self._logs / 'worker.log')}"
        )
        if settings.csv_path is None and "csv" in settings.sources:
            print_line(f"          {SAMPLE_OVER if sample_is_over else SAMPLE_SHOWN}")
        address = api_url(settings)
        print_line(f"dashboard {address}/ in a browser")
        print_line(f"API       {address}, log: {relative_path(self._logs / 'api.log')}")

    def _print_examples(self) -> None:
        address = api_url(self._settings)
        print_line(f"try       curl '{address}/data?symbol=BTC'")
        print_line(f"          curl '{address}/stats'")
        print_line("          .venv/bin/worker status")
        print_line("          Press Ctrl-C to stop")
