"""The columns of an asset, and SQL expressions that write a row as a line of JSON or CSV.

Postgres writes the rows of a page as text, which the API passes on. No digit passes through Python,
and it is faster than any encoder in Python.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Text, case, func, literal

from shared.model.records import VALUES, value_time
from shared.schema.market import assets

ASSET_COLUMNS = (
    "slug",
    "symbol",
    "name",
    *VALUES,
    "observed_at",
    "source_count",
    "price_spread_percent",
    "divergent",
    "active",
    "delisted_at",
    "version",
    "created_at",
    "updated_at",
)
"""The columns that the API shows by default."""

VALUE_TIMES = tuple(map(value_time, VALUES))
"""The columns with the observation time of each value."""

FIELDS = (*ASSET_COLUMNS, "sources", *VALUE_TIMES)
"""The columns that the parameter `fields` can select."""

KINDS: dict[str, type] = {name: assets.c[name].type.python_type for name in FIELDS}
"""The Python type of each column's values: str, Decimal, int, bool, datetime or list."""

SORT_COLUMNS = tuple(name for name in ASSET_COLUMNS if KINDS[name] is not bool)
"""The columns that assets can be sorted by; for boolean columns use a filter."""

NUMERIC_COLUMNS = tuple(name for name, kind in KINDS.items() if kind in {Decimal, int})

NULLABLE_COLUMNS = tuple(name for name in ASSET_COLUMNS if assets.c[name].nullable)
"""The columns that may be unknown."""

# A spreadsheet runs a cell that begins with one of these characters as a formula (OWASP, "CSV
# Injection"), full-width characters included. With an apostrophe before it, it is text.
FORMULA = (
    "^[=+@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH COMMERCIAL AT}"
    "\N{FULLWIDTH HYPHEN-MINUS}-]"
)


def written(
    row: FromClause,
    columns: Sequence[str],
    *,
    csv: bool,
    strings: bool,
    kinds: Mapping[str, type] = KINDS,
) -> ColumnElement[str]:
    """Write a row as a line of JSON or CSV."""
    if csv:
        return csv_line(row, columns, kinds)
    return json_line(row, columns, kinds, strings=strings)


def json_line(
    row: FromClause, columns: Sequence[str], kinds: Mapping[str, type] = KINDS, *, strings: bool
) -> ColumnElement[str]:
    """Write a row as a line of JSON; with `strings` its decimals are strings.

    `row_to_json` takes 1.5 times as long, because it looks up the type of each value row by row.
    """
    parts: list[ColumnElement[Any]] = []
    for name in columns:
        parts.append(literal(f'{"," if parts else "{"}"{name}":'))
        parts.append(func.coalesce(_json_text(row.c[name], kinds[name], strings=strings), "null"))
    return func.concat(*parts, "}", type_=Text)


def _json_text(column: ColumnElement[Any], kind: type, *, strings: bool) -> ColumnElement[str]:
    """Write a value as JSON; the result is null if the value is null."""
    if kind is datetime:
        return literal('"') + instant_text(column) + literal('"')
    if kind is bytes:
        return literal('"') + func.encode(column, "hex") + literal('"')
    if kind is Decimal and strings:
        return literal('"') + column.cast(Text) + literal('"')
    if kind in {Decimal, int, bool}:
        return column.cast(Text)
    return func.to_json(column).cast(Text)


def csv_line(
    row: FromClause, columns: Sequence[str], kinds: Mapping[str, type] = KINDS
) -> ColumnElement[str]:
    """Write a row as a line of CSV (RFC 4180) without its end. Unknown values are empty."""
    line: ColumnElement[str] | None = None
    for name in columns:
        cell = _csv_cell(row.c[name], kinds[name])
        line = cell if line is None else line + literal(",") + cell
    assert line is not None  # noqa: S101  a request has at least one column
    return line


def _csv_cell(column: ColumnElement[Any], kind: type) -> ColumnElement[str]:
    if kind is list:
        column, kind = func.array_to_string(column, ";"), str
    if kind is str:
        safe = case((column.regexp_match(FORMULA), literal("'") + column), else_=column)
        return literal('"') + func.replace(safe, '"', '""') + literal('"')
    if kind is bytes:
        column = func.encode(column, "hex")
    text = instant_text(column) if kind is datetime else column.cast(Text)
    return func.coalesce(text, "")


def instant_text(column: ColumnElement[Any]) -> ColumnElement[str]:
    """Write a time as RFC 3339 in UTC, `2026-01-31T12:00:00.500000Z`, as `fields.Instant` does."""
    return func.to_char(func.timezone("UTC", column), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
