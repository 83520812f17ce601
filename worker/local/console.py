"""The output of `worker local` on the terminal."""

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Engine

from shared.errors import DatabaseUnavailableError
from worker.database.engine import reachable
from worker.maintenance import status_queries

EXAMPLES_AFTER_SECONDS = 10
"""Print the example commands after this time, even if no source has been read yet."""

SAMPLE_SHOWN = "csv: sample data of 2021 until a provider has been read; set CSV_PATH to use files"
SAMPLE_OVER = "csv: not read; its sample data of 2021 is retired, and CSV_PATH is not set"


class FirstRuns:
    """The first run of each source since the start, printed when it ends."""

    def __init__(self, engine: Engine, sources: Iterable[str], newest_run: int) -> None:
        self._engine = engine
        self._pending = set(sources)
        self._newest_run = newest_run
        self._examples_at = time.monotonic() + EXAMPLES_AFTER_SECONDS
        self._examples_shown = False

    @property
    def all_reported(self) -> bool:
        return not self._pending

    def report(self) -> None:
        """Print the runs that ended since the last call.

        If the database cannot be reached, the worker logs it, so nothing is printed here.
        """
        if self.all_reported:
            return
        with suppress(DatabaseUnavailableError), reachable(), self._engine.connect() as conn:
            for run in reversed(status_queries.read_runs(conn, 100)):
                has_ended = run.id > self._newest_run and run.outcome != "running"
                if has_ended and run.source in self._pending:
                    self._pending.remove(run.source)
                    print_line(f"{'loaded':10}{_outcome(run)}")

    def examples_are_due(self) -> bool:
        """Return True once: when all sources were reported, or after some seconds."""
        if self._examples_shown or not (self.all_reported or time.monotonic() > self._examples_at):
            return False
        self._examples_shown = True
        return True


def print_line(line: str, *, err: bool = False) -> None:
    """Print to the terminal; ignore errors if it was closed."""
    with suppress(OSError):
        click.echo(line, err=err)


def _outcome(run: Any) -> str:
    counts = (
        f"{run.records_fetched:,} records: {run.records_new:,} new, "
        f"{run.records_unchanged:,} unchanged, {run.records_rejected:,} rejected"
    )
    reason = f" ({run.error or run.reason})" if run.outcome != "succeeded" else ""
    return f"{run.source} {run.outcome}, {counts}{reason}"


def relative_path(path: Path) -> str:
    """Return the path relative to the current folder if it is below it."""
    with suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)
