"""The order of assets, and the conditions for rows after a position (keyset paging)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    FromClause,
    and_,
    bindparam,
    collate,
    func,
    or_,
)

from api.queries.assets.columns import KINDS, NULLABLE_COLUMNS
from shared.schema.market import assets

LONGEST_KEY = 200
"""Characters of a text that are used for sorting, because a cursor in a URL holds them."""


@dataclass(frozen=True, slots=True)
class SortKey:
    """One column that assets are ordered by."""

    column: str
    descending: bool = False

    def __str__(self) -> str:
        return f"-{self.column}" if self.descending else self.column

    @property
    def kind(self) -> type:
        """The Python type of the column's values."""
        return KINDS[self.column]

    def of(self, rows: FromClause) -> ColumnElement[Any]:
        """Return the sort expression; text is compared by code point."""
        if self.kind is str:
            return collate(func.left(rows.c[self.column], LONGEST_KEY), "C")
        return rows.c[self.column]


Sort = tuple[SortKey, ...]
"""The sort keys, the first key first. Nulls come last, and ties are ordered by id."""

BY_MARKET_CAP: Sort = (SortKey("market_cap_usd", descending=True),)


@dataclass(frozen=True, slots=True)
class Position:
    """The position of a row: its sort keys, its id, and its search rank (0 without a search)."""

    keys: tuple[Any, ...]
    id: int
    rank: int = 0

    @property
    def nulls(self) -> tuple[bool, ...]:
        """Whether each key is null, which changes the conditions for the rows after it."""
        return tuple(key is None for key in self.keys)

    def bind(self) -> dict[str, Any]:
        """Return the values for the parameters of `stretches_after`."""
        keys = {f"after_{place}": key for place, key in enumerate(self.keys)}
        return {**keys, "after_id": self.id, "after_rank": self.rank}


def order(sort: Sort, columns: Any) -> list[ColumnElement[Any]]:
    """Return the ORDER BY of rows with `key_0`, `key_1` …, `id` and, with a search, `rank`."""
    ranks = [columns.rank] if "rank" in columns else []
    keys = [columns[f"key_{place}"] for place in range(len(sort))]
    directed = [
        (key.desc() if each.descending else key.asc()).nulls_last()
        for key, each in zip(keys, sort, strict=True)
    ]
    return [*ranks, *directed, columns.id]


def stretches_after(
    sort: Sort,
    nulls: Sequence[bool],
    rows: FromClause,
    rank: ColumnElement[int] | None = None,
) -> Sequence[ColumnElement[bool]]:
    """Return disjoint conditions that together match all rows after a position.

    `nulls` says whether each of its keys is null. The values are parameters (`Position.bind`).
    Without a search and with one key, each condition is one range of an index on (key, id). So
    Postgres starts reading at the position, and deep pages are not slower.
    """
    stretches: list[ColumnElement[bool]] = []
    same: list[ColumnElement[bool]] = []
    further_id = rows.c.id > bindparam("after_id")
    for place, (each, null) in enumerate(zip(sort, nulls, strict=True)):
        key, last = each.of(rows), place == len(sort) - 1
        here = _bind(place, each)
        if null:
            # nulls are last: all rows that follow have a null here too
            same.append(key.is_(None))
            if last:
                stretches.append(and_(*same, further_id))
            continue
        beyond = key < here if each.descending else key > here
        if last:
            here_or_beyond = key <= here if each.descending else key >= here
            stretches.append(and_(*same, here_or_beyond, or_(beyond, further_id)))
        else:
            stretches.append(and_(*same, beyond))
        if each.column in NULLABLE_COLUMNS:
            stretches.append(and_(*same, key.is_(None)))
        same.append(key == here)
    if rank is None:
        return stretches
    worse, alike = rank > bindparam("after_rank"), rank == bindparam("after_rank")
    return [or_(worse, and_(alike, or_(*stretches)))]


def _bind(place: int, key: SortKey) -> BindParameter[Any]:
    return bindparam(f"after_{place}", type_=assets.c[key.column].type)
