"""What the API shows of an asset, and how Postgres writes it: as JSON, or as a line of CSV.

The rows of a page go from the database to the client as text that Postgres made: no digit passes
through Python, and it is faster than any encoder here.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, Text, case, func, literal, select

from shared.records import VALUES
from shared.tables import assets

ASSET_COLUMNS = (
    "slug",
    "symbol",
    "name",
    *VALUES,
    "observed_at",
    "source_count",
    "price_spread_percent",
    "version",
    "created_at",
    "updated_at",
)
"""What the API shows of an asset, and can sort by."""

KINDS: dict[str, type] = {name: assets.c[name].type.python_type for name in ASSET_COLUMNS}
"""The Python type of each column's values: str, Decimal, int or datetime."""

NUMERIC_COLUMNS = tuple(name for name, kind in KINDS.items() if kind in {Decimal, int})

NULLABLE_COLUMNS = tuple(name for name in ASSET_COLUMNS if assets.c[name].nullable)
"""What may be unknown of an asset."""

# A spreadsheet takes a cell that begins so for a formula (OWASP, "CSV Injection"), full-width
# letters included; an apostrophe before it makes it text.
FORMULA = (
    "^[=+@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH COMMERCIAL AT}"
    "\N{FULLWIDTH HYPHEN-MINUS}-]"
)


def json_members(row: FromClause, columns: Sequence[str], *, strings: bool) -> Select[Any]:
    """Select the members of an asset's object, for `row_to_json` to write.

    With `strings` its decimals are strings.
    """
    members = select(*(_json_member(row, name, strings=strings) for name in columns))
    return members.correlate(row)


def _json_member(row: FromClause, name: str, *, strings: bool) -> ColumnElement[Any]:
    column = row.c[name]
    if KINDS[name] is datetime:
        return instant_text(column).label(name)
    if strings and KINDS[name] is Decimal:
        return column.cast(Text).label(name)
    return column


def csv_line(row: FromClause, columns: Sequence[str]) -> ColumnElement[str]:
    """Write a row as a line of CSV (RFC 4180) without its end; what is unknown is empty."""
    line: ColumnElement[str] | None = None
    for name in columns:
        cell = _csv_cell(row.c[name], KINDS[name])
        line = cell if line is None else line + literal(",") + cell
    assert line is not None  # noqa: S101  a request has at least one column
    return line


def _csv_cell(column: ColumnElement[Any], kind: type) -> ColumnElement[str]:
    if kind is str:
        safe = case((column.regexp_match(FORMULA), literal("'") + column), else_=column)
        return literal('"') + func.replace(safe, '"', '""') + literal('"')
    text = instant_text(column) if kind is datetime else column.cast(Text)
    return func.coalesce(text, "")


def instant_text(column: ColumnElement[Any]) -> ColumnElement[str]:
    """Write a time as RFC 3339 in UTC, `2026-01-31T12:00:00.500000Z`, as `fields.Instant` does."""
    return func.to_char(func.timezone("UTC", column), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
