"""Lists of runs, and one run in detail."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Numeric, cast, extract, func, select

from api.queries.id_pages import Page, read_page
from shared.model.runs import PHASES
from shared.schema.operations import runs

COUNTS = ("fetched", "new", "unchanged", "rejected", "known", "revised")
RATES = ("records_per_second", "new_share", "rejected_share", "jumped_share")

COLUMNS = (
    "id",
    "source",
    "command",
    "outcome",
    "reason",
    "error",
    "started_at",
    "finished_at",
    "requests",
    "retries",
    "pages_not_modified",
    "batches",
)
"""Columns that are shown unchanged."""

DETAIL_COLUMNS = (
    "cursor_before",
    "cursor_after",
    "prices_compared",
    "prices_jumped",
    "rejects_dropped",
    "rejects_dropped_reasons",
)
"""Columns of a single run that lists omit."""


@dataclass(frozen=True, slots=True)
class RunFilters:
    """The filters of a request for runs. A run must match all of them, each with any value."""

    sources: Sequence[str] = ()
    outcomes: Sequence[str] = ()
    command: str | None = None
    started_since: datetime | None = None
    started_before: datetime | None = None


def find_runs(conn: Connection, filters: RunFilters, page_size: int, before: int | None) -> Page:
    """Return a page of the runs that match the filters, newest first."""
    conditions: list[ColumnElement[bool]] = []
    if filters.outcomes:
        conditions.append(runs.c.outcome.in_(filters.outcomes))
    if filters.command:
        conditions.append(runs.c.command == filters.command)
    if filters.started_since:
        conditions.append(runs.c.started_at >= filters.started_since)
    if filters.started_before:
        conditions.append(runs.c.started_at < filters.started_before)
    by_source = [[runs.c.source == source, *conditions] for source in filters.sources]
    page = read_page(conn, runs, run_columns(runs), by_source or [conditions], page_size, before)
    return Page([nested(row) for row in page.rows], page.total, page.end)


def find_run(conn: Connection, run_id: int) -> dict[str, Any] | None:
    """Return one run with the ids of its source's previous and next run."""
    other = runs.alias("other")
    neighbours = (
        ("previous_run_id", func.max(other.c.id), other.c.id < runs.c.id),
        ("next_run_id", func.min(other.c.id), other.c.id > runs.c.id),
    )
    stmt = select(
        *run_columns(runs),
        *(runs.c[name] for name in DETAIL_COLUMNS),
        *(
            select(chosen)
            .where(other.c.source == runs.c.source, side)
            .correlate(runs)
            .scalar_subquery()
            .label(name)
            for name, chosen, side in neighbours
        ),
    ).where(runs.c.id == run_id)
    row = conn.execute(stmt).mappings().one_or_none()
    return nested(row) if row else None


def find_two_runs(conn: Connection, a: int, b: int) -> dict[int, dict[str, Any]]:
    """Return the existing ones of two runs, by id."""
    columns = [*run_columns(runs), *(runs.c[name] for name in DETAIL_COLUMNS)]
    rows = conn.execute(select(*columns).where(runs.c.id.in_([a, b]))).mappings()
    return {row["id"]: nested(row) for row in rows}


def run_columns(table: FromClause) -> list[ColumnElement[Any]]:
    """Return the columns that `nested` groups."""
    columns = table.c
    seconds = duration(table)
    seen = columns.records_fetched + columns.records_known
    compared = columns.prices_compared
    rates = {
        "records_per_second": func.round(columns.records_fetched / func.nullif(seconds, 0), 3),
        "new_share": share(columns.records_new, seen),
        "rejected_share": share(columns.records_rejected, seen),
        "jumped_share": share(columns.prices_jumped, compared),
    }
    return [
        *(columns[name] for name in COLUMNS),
        seconds.label("duration_seconds"),
        *(columns[f"records_{name}"] for name in COUNTS),
        *(rates[name].label(name) for name in RATES),
        *phase_columns(table),
    ]


def nested(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Group a run's counts, rates and phases."""
    flat = dict(row)
    return {
        "records": {name: flat.pop(f"records_{name}") for name in COUNTS},
        "rates": {name: flat.pop(name) for name in RATES},
        "phase_seconds": take_phases(flat),
        **flat,
    }


def phase_columns(table: FromClause) -> list[ColumnElement[Any]]:
    """Return a column with the seconds of each phase; null if the run did not count them."""
    return [
        cast(table.c.phase_seconds[name].astext, Numeric).label(f"phase_{name}") for name in PHASES
    ]


def take_phases(row: dict[str, Any]) -> dict[str, Any]:
    """Remove the columns of the phases from a row and return them."""
    return {name: row.pop(f"phase_{name}") for name in PHASES}


def duration(table: FromClause) -> ColumnElement[Any]:
    """Return the duration of a run in seconds, to the millisecond; null while it is running."""
    return func.round(extract("epoch", table.c.finished_at - table.c.started_at), 3)


def share(part: ColumnElement[Any], whole: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the share of a part in the whole; null if the whole is 0."""
    return func.trim_scale(func.round(cast(part, Numeric) / func.nullif(whole, 0), 6))
