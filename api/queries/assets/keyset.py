"""The order of assets, and what follows a position in it."""

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
"""How many characters of a text decide its place: a cursor holds them, and a URL the cursor."""


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
        """Say what Postgres compares: text by code point, whatever the database's collation."""
        if self.kind is str:
            return collate(func.left(rows.c[self.column], LONGEST_KEY), "C")
        return rows.c[self.column]


Sort = tuple[SortKey, ...]
"""What assets are ordered by, the first key first; nulls come last, and ties are broken by id."""

BY_MARKET_CAP: Sort = (SortKey("market_cap_usd", descending=True),)


@dataclass(frozen=True, slots=True)
class Position:
    """A row's place: its sort keys, its id, and how well it matched a search (0 without one)."""

    keys: tuple[Any, ...]
    id: int
    rank: int = 0

    @property
    def nulls(self) -> tuple[bool, ...]:
        """Which keys are null: what follows is asked for in other words then."""
        return tuple(key is None for key in self.keys)

    def bind(self) -> dict[str, Any]:
        """Give the values of the parameters that `stretches_after` leaves open."""
        keys = {f"after_{place}": key for place, key in enumerate(self.keys)}
        return {**keys, "after_id": self.id, "after_rank": self.rank}


def order(sort: Sort, columns: Any) -> list[ColumnElement[Any]]:
    """Order rows that have `id` and the columns `key_0`, `key_1` …, and `rank` with a search."""
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
    """Return conditions that no two rows share, and that together are all after a position.

    `nulls` says which of its keys are null; its values are left open (`Position.bind`). Without a
    search, for one key each is one range of an index on (key, id), so that Postgres starts to read
    at the position, however deep it is.
    """
    stretches: list[ColumnElement[bool]] = []
    same: list[ColumnElement[bool]] = []
    further_id = rows.c.id > bindparam("after_id")
    for place, (each, null) in enumerate(zip(sort, nulls, strict=True)):
        key, last = each.of(rows), place == len(sort) - 1
        here = _bind(place, each)
        if null:
            # nothing lies beyond a null: what follows has it too
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
