"""The order of assets, and what follows a position in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, collate, func, or_

from shared.tables import assets

LONGEST_KEY = 200
"""How many characters of a text decide its place: a cursor holds them, and a URL the cursor."""


@dataclass(frozen=True, slots=True)
class Sort:
    """The column that assets are ordered by; nulls come last, and ties are broken by id."""

    column: str = "market_cap_usd"
    descending: bool = True

    def __str__(self) -> str:
        return f"-{self.column}" if self.descending else self.column

    @property
    def kind(self) -> type:
        """The Python type of the column's values."""
        return assets.c[self.column].type.python_type

    @property
    def key(self) -> ColumnElement[Any]:
        """What Postgres compares: text by code point, whatever the database's collation."""
        if self.kind is str:
            return collate(func.left(assets.c[self.column], LONGEST_KEY), "C")
        return assets.c[self.column]

    def order(self, columns: Any) -> list[ColumnElement[Any]]:
        """Order rows that have the columns `key` and `id`, and `rank` where there is a search."""
        key = columns.key.desc() if self.descending else columns.key.asc()
        ranks = [columns.rank] if "rank" in columns else []
        return [*ranks, key.nulls_last(), columns.id]


@dataclass(frozen=True, slots=True)
class Position:
    """A row's place: its sort key, its id, and how well it matched a search (0 without one)."""

    key: Any
    id: int
    rank: int = 0


def stretches_after(
    sort: Sort, position: Position, rank: ColumnElement[int] | None = None
) -> Sequence[ColumnElement[bool]]:
    """Return conditions that no two rows share, and that together are all after the position.

    Without a search each is one range of an index on (key, id), so that Postgres starts to read at
    the position, however deep it is.
    """
    further_id = assets.c.id > position.id
    if position.key is None:
        stretches = [and_(sort.key.is_(None), further_id)]
    else:
        down = sort.descending
        beyond = sort.key < position.key if down else sort.key > position.key
        here_or_beyond = sort.key <= position.key if down else sort.key >= position.key
        stretches = [and_(here_or_beyond, or_(beyond, further_id))]
        if assets.c[sort.column].nullable:
            stretches.append(sort.key.is_(None))
    if rank is None:
        return stretches
    return [or_(rank > position.rank, and_(rank == position.rank, or_(*stretches)))]
