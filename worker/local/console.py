"""What `worker local` prints while it runs."""

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Engine

from shared.errors import DatabaseUnavailableError
from worker.database.engine import reachable
from worker.maintenance import report

PATIENCE_SECONDS = 10
"""How long the first source may take before it is told what to try meanwhile."""

SAMPLE_SHOWN = "sample data of 2021, until a provider has been read; CSV_PATH names your own files"
SAMPLE_OVER = "not read: its sample data of 2021 is retired, and CSV_PATH names no files"


class News:
    """What the first pass over the sources comes to, told as it comes."""

    def __init__(self, engine: Engine, sources: Iterable[str], newest_run: int) -> None:
        self._engine = engine
        self._untold = set(sources)
        self._newest_run = newest_run
        self._advice_at = time.monotonic() + PATIENCE_SECONDS
        self._is_advised = False

    @property
    def all_told(self) -> bool:
        return not self._untold

    def tell(self) -> None:
        """Say what ended since the last call. A database that is away is the worker's to report."""
        if self.all_told:
            return
        with suppress(DatabaseUnavailableError), reachable(), self._engine.connect() as conn:
            for run in reversed(report.read_runs(conn, 100)):
                is_news = run.id > self._newest_run and run.outcome != "running"
                if is_news and run.source in self._untold:
                    self._untold.remove(run.source)
                    say(f"{'loaded':10}{_outcome(run)}")

    def is_time_for_advice(self) -> bool:
        """Whether to tell what to try: once, when something is there or takes its time."""
        if self._is_advised or not (self.all_told or time.monotonic() > self._advice_at):
            return False
        self._is_advised = True
        return True


def say(line: str, *, err: bool = False) -> None:
    """Tell the person at the terminal, if there is one still."""
    with suppress(OSError):
        click.echo(line, err=err)


def _outcome(run: Any) -> str:
    counts = (
        f"{run.records_fetched:,} records: {run.records_new:,} new, "
        f"{run.records_unchanged:,} unchanged, {run.records_rejected:,} rejected"
    )
    reason = f" ({run.error or run.reason})" if run.outcome != "succeeded" else ""
    return f"{run.source} {run.outcome}, {counts}{reason}"


def _short(path: Path) -> str:
    with suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)
