"""Refused records."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    case,
    func,
    literal,
    select,
)

from api.queries.id_pages import Page, read_page
from shared.schema.operations import has_reason, has_state, reasons_by_kind, rejects

PREVIEW_BYTES = 2000
"""Enough bytes for 500 characters of any kind."""

LARGEST_PAYLOAD = 102_400
"""Size limit in bytes of payloads that are shown; `worker rejects show` shows larger ones."""

MOST_COUNTED = 10_000
"""How many rejects are counted by reason, newest first."""

COLUMNS = (
    "id",
    "source",
    "external_id",
    "position",
    "reasons",
    "first_seen_at",
    "last_seen_at",
    "times_seen",
    "first_run_id",
    "last_run_id",
    "resolved_at",
    "dismissed_by",
    "dismissed_reason",
    "payload_hash",
)


@dataclass(frozen=True, slots=True)
class RejectFilters:
    """The filters of a request for rejects. A reject must match all of them."""

    sources: Sequence[str] = ()
    state: str = "open"
    reason: str | None = None
    run_id: int | None = None


def find_rejects(
    conn: Connection, filters: RejectFilters, page_size: int, before: int | None
) -> Page:
    """Return a page of the rejects that match the filters, newest first."""
    beginning = func.substr(rejects.c.payload, 1, PREVIEW_BYTES).label("payload")
    return read_page(
        conn, rejects, [*_columns(), beginning], [_conditions(filters)], page_size, before
    )


def count_reasons(conn: Connection, wanted: RejectFilters, most: int) -> Sequence[RowMapping]:
    """Count the rejects that pass the filters by source and kind of reason, most rejects first.

    A kind is a reason without the values in it. Only the newest `MOST_COUNTED` rejects are counted,
    because finding the kinds is slow.
    """
    newest = select(rejects).where(*_conditions(wanted)).order_by(rejects.c.id.desc())
    counted = newest.limit(MOST_COUNTED).subquery("counted")
    last_seen = func.max(counted.c.last_seen_at).label("last_seen_at")
    stmt = reasons_by_kind(counted, "rejects").add_columns(last_seen).limit(most)
    return conn.execute(stmt).mappings().all()


def find_reject(conn: Connection, reject_id: int) -> RowMapping | None:
    """Return one reject with its payload; null if the payload is too large."""
    size = func.octet_length(rejects.c.payload)
    payload = case((size <= LARGEST_PAYLOAD, rejects.c.payload)).label("payload")
    stmt = select(*_columns(), payload).where(rejects.c.id == reject_id)
    return conn.execute(stmt).mappings().one_or_none()


def _columns() -> list[ColumnElement[Any]]:
    size = func.octet_length(rejects.c.payload).label("payload_bytes")
    return [*(rejects.c[name] for name in COLUMNS), size]


def _conditions(filters: RejectFilters) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if filters.sources:
        conditions.append(rejects.c.source.in_(filters.sources))
    if filters.state != "all":
        conditions.append(has_state(filters.state))
    if filters.reason is not None:
        conditions.append(has_reason(filters.reason))
    if filters.run_id is not None:
        seen_by = (rejects.c.first_run_id, rejects.c.last_run_id)
        conditions.append(literal(filters.run_id).in_(seen_by))
    return conditions
