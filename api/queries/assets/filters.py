"""The filters of a request for assets, and their SQL conditions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import MAX_PREC, Context, Decimal
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    Boolean,
    ColumnElement,
    DateTime,
    FromClause,
    Integer,
    Text,
    any_,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
)

from shared.schema.market import asset_search, assets

GRAM = 3
"""Number of characters in each entry of the index of labels."""

EXACT = Context(prec=MAX_PREC)
"""Python's own context rounds to 28 digits."""


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of a request. An asset must match all of them, each with any of its values."""

    symbols: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    q: str | None = None
    has: tuple[str, ...] = ()
    divergent: bool | None = None
    """Only assets whose sources disagree, or only assets whose sources agree."""
    active: bool | None = None
    """Only assets that a source lists, or only delisted assets."""
    updated_since: datetime | None = None
    ranges: tuple[tuple[str, Decimal], ...] = ()
    """Inclusive bounds by name, such as `min_price_usd`."""

    @property
    def shape(self) -> "Shape":
        return Shape(
            symbols=bool(self.symbols),
            sources=bool(self.sources),
            q=self.q is not None,
            q_has_grams=self.q is not None and len(self.q) >= GRAM,
            divergent=self.divergent is not None,
            active=self.active is not None,
            updated_since=self.updated_since is not None,
            has=self.has,
            ranges=tuple(name for name, _ in self.ranges),
        )

    def bind(self) -> dict[str, Any]:
        """Return the values for the parameters of the shape's conditions."""
        return {
            "symbols": list(self.symbols),
            "sources": list(self.sources),
            "q": _escape_like(self.q or ""),
            "q_plain": self.q,
            "divergent": self.divergent,
            "active": self.active,
            "updated_since": self.updated_since,
            **dict(self.ranges),
        }

    def dump(self) -> Mapping[str, Any]:
        """Return the filters as JSON values; equivalent filters give equal values."""
        return {
            "symbols": sorted(each.upper() if each.isascii() else each for each in self.symbols),
            "sources": sorted(self.sources),
            "q": self.q,
            "has": sorted(self.has),
            "divergent": self.divergent,
            "active": self.active,
            "updated_since": self.updated_since and self.updated_since.timestamp(),
            "ranges": sorted((name, str(EXACT.normalize(bound))) for name, bound in self.ranges),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The filters that a request uses, without their values."""

    symbols: bool
    sources: bool
    q: bool
    q_has_grams: bool
    """Whether the search text is long enough for the index of labels."""
    divergent: bool
    active: bool
    updated_since: bool
    has: tuple[str, ...]
    ranges: tuple[str, ...]

    @property
    def is_selective(self) -> bool:
        """Whether the number of matching rows, and so the best plan, depends on the values."""
        return bool(
            self.sources or self.divergent or self.active or self.updated_since or self.ranges
        )

    def search(self) -> CTE:
        """Find the assets that match the search text, and whether a label begins with it."""
        labels = asset_search.c.labels
        grams = func.search_grams(func.lower(bindparam("q_plain", type_=Text)))
        begins = labels.like(_once(_a_line_begins()))
        found = select(asset_search.c.asset_id, begins.label("begins")).where(
            func.search_grams(labels).bool_op("@>")(grams),
            labels.like(_once(_contains())),
            _is_one_line(),
        )
        return found.cte("found").prefix_with("MATERIALIZED")

    def conditions(self, rows: FromClause, *, searched: bool = False) -> list[ColumnElement[bool]]:
        """Return the conditions for rows; without the search if they were `searched` already."""
        conditions: list[ColumnElement[bool]] = []
        if self.symbols:
            # Symbols are stored in upper case, as Postgres's `upper` converts them.
            each = func.unnest(bindparam("symbols", type_=ARRAY(Text))).column_valued("each")
            capitals = func.array(select(func.upper(each)).scalar_subquery(), type_=ARRAY(Text))
            has_one = rows.c.symbol == any_(capitals)
            conditions.append(_by_id(has_one, rows) if rows is assets else has_one)
        if self.sources:
            conditions.append(rows.c.sources.overlap(bindparam("sources", type_=ARRAY(Text))))
        if self.q and not searched:
            conditions += [rows.c.search_text.like(_once(_contains())), _is_one_line()]
        for name, is_used in (("divergent", self.divergent), ("active", self.active)):
            if is_used:
                conditions.append(rows.c[name] == bindparam(name, type_=Boolean))
        if self.updated_since:
            since = bindparam("updated_since", type_=DateTime(timezone=True))
            conditions.append(rows.c.updated_at >= since)
        conditions += [rows.c[name].is_not(None) for name in self.has]
        for name in self.ranges:
            column = rows.c[name[len("min_") :]]
            bound = bindparam(name, type_=assets.c.price_usd.type)
            conditions.append(column >= bound if name.startswith("min_") else column <= bound)
        return conditions

    def rank(self, rows: FromClause) -> ColumnElement[int] | None:
        """Rank rows that begin with the search text before rows that only contain it."""
        if not self.q:
            return None
        text = rows.c.search_text
        begins = text.like(_once(_lowered() + literal("%")))
        return case((or_(begins, text.like(_once(_a_line_begins()))), 0), else_=1)


def _by_id(condition: ColumnElement[bool], rows: FromClause) -> ColumnElement[bool]:
    """Evaluate a condition separately, whatever the other conditions and the order are.

    Otherwise Postgres may scan all rows in the requested order until enough of them match.
    """
    ids = select(rows.c.id).where(condition).correlate(None).scalar_subquery()
    return rows.c.id == any_(func.array(ids, type_=ARRAY(Integer)))


def _contains() -> ColumnElement[str]:
    return literal("%") + _lowered() + literal("%")


def _a_line_begins() -> ColumnElement[str]:
    return literal("%") + func.chr(10) + _lowered() + literal("%")


def _is_one_line() -> ColumnElement[bool]:
    """Refuse search text with a line break, which separates labels."""
    return func.strpos(bindparam("q", type_=Text), func.chr(10)) == 0


def _once(value: ColumnElement[str]) -> ColumnElement[str]:
    """Make Postgres compute a value once for all rows."""
    return select(value).scalar_subquery()


def _lowered() -> ColumnElement[str]:
    return func.lower(bindparam("q", type_=Text))


def _escape_like(q: str) -> str:
    r"""Escape `%`, `_` and `\`, so that they match literally."""
    return q.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
