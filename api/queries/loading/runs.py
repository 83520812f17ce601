"""Questions about runs: which there were, and all that is known of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Numeric, cast, extract, func, select

from api.queries.pages import Page, read_page
from shared.model.runs import PHASES
from shared.schema.operations import runs

COUNTS = ("fetched", "new", "unchanged", "rejected", "known", "revised")
RATES = ("records_per_second", "new_share", "rejected_share", "jumped_share")

OWN = (
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
"""Columns that are shown as they are."""

ALONE = (
    "cursor_before",
    "cursor_after",
    "prices_compared",
    "prices_jumped",
    "rejects_dropped",
    "rejects_dropped_reasons",
)
"""Columns that are shown of one run, and not in lists."""


@dataclass(frozen=True, slots=True)
class RunFilters:
    """Which runs: all conditions must hold, each for any of its values."""

    sources: Sequence[str] = ()
    outcomes: Sequence[str] = ()
    command: str | None = None
    started_since: datetime | None = None
    started_before: datetime | None = None


def find_runs(conn: Connection, wanted: RunFilters, page_size: int, before: int | None) -> Page:
    """Return a page of the runs that pass the filters, the newest first."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.outcomes:
        conditions.append(runs.c.outcome.in_(wanted.outcomes))
    if wanted.command:
        conditions.append(runs.c.command == wanted.command)
    if wanted.started_since:
        conditions.append(runs.c.started_at >= wanted.started_since)
    if wanted.started_before:
        conditions.append(runs.c.started_at < wanted.started_before)
    stretches = [[runs.c.source == source, *conditions] for source in wanted.sources]
    page = read_page(conn, runs, run_columns(runs), stretches or [conditions], page_size, before)
    return Page([nested(row) for row in page.rows], page.total, page.end)


def find_run(conn: Connection, run_id: int) -> dict[str, Any] | None:
    """Return one run with the ids of its source's runs before and after it."""
    other = runs.alias("other")
    neighbours = (
        ("previous_run_id", func.max(other.c.id), other.c.id < runs.c.id),
        ("next_run_id", func.min(other.c.id), other.c.id > runs.c.id),
    )
    stmt = select(
        *run_columns(runs),
        *(runs.c[name] for name in ALONE),
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
    """Return those of two runs that there are, by id."""
    columns = [*run_columns(runs), *(runs.c[name] for name in ALONE)]
    rows = conn.execute(select(*columns).where(runs.c.id.in_([a, b]))).mappings()
    return {row["id"]: nested(row) for row in rows}


def run_columns(table: FromClause) -> list[ColumnElement[Any]]:
    """Make the columns that `nested` puts together."""
    columns = table.c
    took = duration(table)
    seen = columns.records_fetched + columns.records_known
    compared = columns.prices_compared
    rates = {
        "records_per_second": func.round(columns.records_fetched / func.nullif(took, 0), 3),
        "new_share": share(columns.records_new, seen),
        "rejected_share": share(columns.records_rejected, seen),
        "jumped_share": share(columns.prices_jumped, compared),
    }
    return [
        *(columns[name] for name in OWN),
        took.label("duration_seconds"),
        *(columns[f"records_{name}"] for name in COUNTS),
        *(rates[name].label(name) for name in RATES),
        *phase_columns(table),
    ]


def nested(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Put a run's counts, rates and phases together."""
    flat = dict(row)
    return {
        "records": {name: flat.pop(f"records_{name}") for name in COUNTS},
        "rates": {name: flat.pop(name) for name in RATES},
        "phase_seconds": take_phases(flat),
        **flat,
    }


def phase_columns(table: FromClause) -> list[ColumnElement[Any]]:
    """Make a column of each phase's seconds; null where the run did not count them."""
    return [
        cast(table.c.phase_seconds[name].astext, Numeric).label(f"phase_{name}") for name in PHASES
    ]


def take_phases(row: dict[str, Any]) -> dict[str, Any]:
    """Take the columns of the phases out of a row."""
    return {name: row.pop(f"phase_{name}") for name in PHASES}


def duration(table: FromClause) -> ColumnElement[Any]:
    """Return how long a run took, in seconds, to the millisecond; null while it is at work."""
    return func.round(extract("epoch", table.c.finished_at - table.c.started_at), 3)


def share(part: ColumnElement[Any], whole: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return which share of the whole a part is; null where there is none."""
    return func.trim_scale(func.round(cast(part, Numeric) / func.nullif(whole, 0), 6))
