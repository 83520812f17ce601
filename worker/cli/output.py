"""Output of the commands: tables and progress bars on a terminal, JSON for programs."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sqlalchemy import Row

from worker.ingest.runs.options import Result

TABLE_WIDTH = 200
"""Width of a table that is written to a pipe or a file."""


def show_result(result: Result) -> None:
    """Print the outcome and the counts of a run in one line."""
    counts, ending = result.counts, result.ending
    reason = f" ({ending.reason}: {ending.error})" if ending.reason else ""
    dismissed = f" ({counts.dismissed} dismissed)" if counts.dismissed else ""
    revised = f"; {counts.revised} revised" if counts.revised else ""
    click.echo(
        f"{result.source}: run {result.run_id} {ending.outcome}{reason}: {counts.fetched} fetched ="
        f" {counts.new} new + {counts.unchanged} unchanged + {counts.rejected} rejected"
        f"{dismissed}{revised}"
    )


def show_json(value: Any) -> None:
    """Print JSON: rows as objects, times as RFC 3339, bytes in hex."""
    click.echo(msgspec.json.format(msgspec.json.encode(_plain(value))).decode())


def _plain(value: Any) -> Any:
    if isinstance(value, Row):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {key: _plain(cell) for key, cell in value.items()}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return value


def show_table(rows: Sequence[Any], **columns: str) -> None:
    """Print the columns of the rows under their headings; text is not read as markup."""
    console = Console(width=None if sys.stdout.isatty() else TABLE_WIDTH)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in columns.values():
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(format_cell(getattr(row, name)) for name in columns))
    console.print(table, markup=False)


def format_cell(value: Any) -> str:
    """Format a value for people: a missing one as `-`, times in UTC, documents as JSON."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%SZ}"
    if isinstance(value, list):
        return "; ".join(str(each) for each in value)
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


@contextmanager
def show_progress() -> Iterator[Callable[[str], Callable[[int], None]]]:
    """Show progress bars if stderr is a terminal; yield a function that adds a bar by name."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed} records"),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, disable=not console.is_terminal, transient=True
    ) as bars:

        def start(name: str) -> Callable[[int], None]:
            bar = bars.add_task(name, total=None)
            return lambda count: bars.update(bar, completed=count)

        yield start
