"""Which assets a request wants, and the conditions that say so."""

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
"""How many characters there are in each entry of the index of labels."""

EXACT = Context(prec=MAX_PREC)
"""Python's own context rounds to 28 digits."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which assets: all conditions must hold, each for any of its values."""

    symbols: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    q: str | None = None
    has: tuple[str, ...] = ()
    divergent: bool | None = None
    """Only those whose sources disagree, or only those whose do not."""
    active: bool | None = None
    """Only those that a source lists, or only those that none lists any more."""
    updated_since: datetime | None = None
    ranges: tuple[tuple[str, Decimal], ...] = ()
    """Bounds by name, `min_price_usd` or `max_price_usd`; what is equal to one is within."""

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
        """Give the values that the shape's conditions leave open."""
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
        """Show them in JSON's terms, equal where they ask for the same."""
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
    """Which conditions there are, without their values."""

    symbols: bool
    sources: bool
    q: bool
    q_has_grams: bool
    """Whether the search is long enough for the index of labels; shorter ones find too many."""
    divergent: bool
    active: bool
    updated_since: bool
    has: tuple[str, ...]
    ranges: tuple[str, ...]

    @property
    def is_selective(self) -> bool:
        """Whether it hangs on the values how many rows pass, and so how they are best found."""
        return bool(
            self.sources or self.divergent or self.active or self.updated_since or self.ranges
        )

    def search(self) -> CTE:
        """Find the assets that pass the search, and whether a label of theirs begins with it."""
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
        """Say which rows pass; of those that were `searched`, all that is asked but that."""
        conditions: list[ColumnElement[bool]] = []
        if self.symbols:
            # An asset's symbol is stored in capitals, as Postgres makes them.
            each = func.unnest(bindparam("symbols", type_=ARRAY(Text))).column_valued("each")
            capitals = func.array(select(func.upper(each)).scalar_subquery(), type_=ARRAY(Text))
            has_one = rows.c.symbol == any_(capitals)
            conditions.append(_by_id(has_one, rows) if rows is assets else has_one)
        if self.sources:
            conditions.append(rows.c.sources.overlap(bindparam("sources", type_=ARRAY(Text))))
        if self.q and not searched:
            conditions += [rows.c.search_text.like(_once(_contains())), _is_one_line()]
        for name, asked in (("divergent", self.divergent), ("active", self.active)):
            if asked:
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
        """Put what begins with the search before what only contains it."""
        if not self.q:
            return None
        text = rows.c.search_text
        begins = text.like(_once(_lowered() + literal("%")))
        return case((or_(begins, text.like(_once(_a_line_begins()))), 0), else_=1)


def _by_id(condition: ColumnElement[bool], rows: FromClause) -> ColumnElement[bool]:
    """Have what passes found by itself, whatever else is asked, and in whichever order.

    Postgres might else go through all rows in that order, until there are enough that pass.
    """
    ids = select(rows.c.id).where(condition).correlate(None).scalar_subquery()
    return rows.c.id == any_(func.array(ids, type_=ARRAY(Integer)))


def _contains() -> ColumnElement[str]:
    return literal("%") + _lowered() + literal("%")


def _a_line_begins() -> ColumnElement[str]:
    return literal("%") + func.chr(10) + _lowered() + literal("%")


def _is_one_line() -> ColumnElement[bool]:
    """A line break parts the labels, and is not looked for."""
    return func.strpos(bindparam("q", type_=Text), func.chr(10)) == 0


def _once(value: ColumnElement[str]) -> ColumnElement[str]:
    """Have a value worked out once for all rows."""
    return select(value).scalar_subquery()


def _lowered() -> ColumnElement[str]:
    return func.lower(bindparam("q", type_=Text))


def _escape_like(q: str) -> str:
    r"""Take `%`, `_` and `\` for what they are."""
    return q.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
