"""Contestants that load the same plan into fresh databases of one server, each in its process."""

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy.engine import URL

from tests.bench.ingest_options import Options
from tests.bench.measure import Outcome, run, tell
from tests.fakes.postgres import Server

LIMIT, DLT, OURS = "COPY", "dlt", "ours"
MODULES = {LIMIT: "limit", DLT: "dlt_peer", OURS: "worker_contestant"}


class Contest:
    """What is measured on one server: outcomes by contestant and pass, and what there was to say.

    A contestant that fails is not measured, which a note says.
    """

    def __init__(self, options: Options, server: Server, folder: Path) -> None:
        self.options = options
        self.server = server
        self.folder = folder
        self.outcomes: dict[tuple[str, str], list[Outcome]] = {}
        self.notes: list[str] = []

    def measure(self, title: str, name: str, plan: Path, *prepared: str) -> None:
        """Let a contestant load a plan into a fresh database; keep its outcomes under a title.

        The `prepared` statements are executed there before.
        """
        if not self.has_time(title):
            return
        with self.server.database() as url:
            self.server.execute(*prepared, database=str(url.database))
            self.run(title, name, url, plan)

    def run(self, title: str, name: str, url: URL, plan: Path) -> None:
        """Let a contestant load a plan into a database, and keep its outcomes.

        Nothing is left for the server to write from the one before.
        """
        self.server.execute("CHECKPOINT")
        plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
        try:
            outcomes = self._start(name, plain, plan)
        except (subprocess.CalledProcessError, OSError) as exc:
            self.note(f"{title} FAILED, and is not measured: {exc}")
            return
        for outcome in outcomes:
            tell(f"{title}: {outcome.name}: {outcome.rate:,.0f} records/s")
            self.outcomes.setdefault((title, outcome.name), []).append(outcome)

    def has_time(self, title: str) -> bool:
        """Whether anything may still begin; a note says of what does not."""
        if time.monotonic() < self.options.ends:
            return True
        note = f"{title}: rounds left out, as MINUTES={self.options.minutes:g} were over"
        if note not in self.notes:
            self.note(note)
        return False

    def note(self, words: str) -> None:
        """Say something now, and below the table."""
        tell(words)
        self.notes.append(words)

    def rates(self, title: str, name: str) -> list[float]:
        """Return the records a second of each outcome."""
        return [outcome.rate for outcome in self.outcomes.get((title, name), ())]

    def _start(self, name: str, url: str, plan: Path) -> list[Outcome]:
        if name != DLT:
            return run(sys.executable, MODULES[name], url, plan)
        with TemporaryDirectory(dir=self.folder) as folder:
            python, environ = self.options.dlt_python, _dlt_environ(folder)
            return run(python, MODULES[name], url, plan, folder, environ=environ)


def _dlt_environ(folder: str) -> Mapping[str, str]:
    return {
        "HOME": folder,
        "DLT_DATA_DIR": folder,
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "ERROR",
    }
