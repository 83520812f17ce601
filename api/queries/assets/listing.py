"""The question which assets there are: a page of them, or all, as lines that Postgres wrote."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, extract, select

from api.database.cache import RecentValues
from api.queries.assets.cursors import Walk
from api.queries.assets.forms import Form, page_of, rows_of, whole_of
from api.queries.assets.keyset import Position
from api.queries.assets.past import Moment
from api.queries.assets.query import AssetQuery
from api.request.problems import CursorExpiredError, DataBehindError
from shared.schema.market import dataset

STREAMED_ROWS = 1000
"""How many rows of an export are fetched at once."""


@dataclass(frozen=True, slots=True)
class AssetPage:
    """A page of assets as lines; `end` is where the next one starts, None on the last page."""

    lines: str
    """Joined, of CSV by CR LF; JSON has no line break but those between them."""
    count: int
    end: Position | None
    walk: Walk
    version: int
    """Of the data that is shown: the walk's, and for a page that begins one the newest."""
    changed_at: float | None
    """When the data last changed, in seconds since 1970; None while there is none."""
    known_from: int
    """The oldest version at which it is known how all assets were."""


NEWEST = select(dataset.c.version, extract("epoch", dataset.c.changed_at).label("changed_at"))


def find_assets(
    conn: Connection,
    wanted: AssetQuery,
    page_size: int,
    start: tuple[Position, Walk] | int,
    totals: RecentValues[tuple[int, int]],
) -> AssetPage:
    """Return a page of the assets that pass the filters, from one snapshot.

    It starts after a number of rows, and begins a walk; or after a position in a walk, and shows
    the assets as they were at the walk's version, of the last hour. `totals` has for filters a
    version of the data and how many assets passed there; they are counted where it has none of
    this version.

    Raises:
        CursorExpiredError: how assets were at the walk's version is not known any more.
        DataBehindError: or not yet, on this server.
    """
    form = wanted.form_of(page_size, skips=isinstance(start, int) and start > 0)
    given = {**wanted.bind(), "first": page_size + 1, "skipped": 0}
    if wanted.moment is not None:
        return _find_past(conn, form, wanted.moment, given, page_size, start)
    if isinstance(start, int):
        given["skipped"] = start
        version, total = totals.get(wanted.filters) or (None, 0)
        if version is not None:
            page = _read(conn, form, given, page_size)
            if page.version == version:
                return replace(page, walk=replace(page.walk, total=total))
        page = _read(conn, replace(form, counts=True), given, page_size)
        totals.put(wanted.filters, (page.version, page.walk.total))
        return page
    position, walk = start
    form = replace(form, after=position.nulls)
    given |= {**position.bind(), "version": walk.version}
    page = _read(conn, form, given, page_size)
    if page.version != walk.version:
        page = _read(conn, replace(form, at_version=True, most=None), given, page_size)
        if walk.version < page.known_from:
            raise CursorExpiredError
        if walk.version > page.version:
            raise DataBehindError
    return replace(page, walk=walk, version=walk.version)


def _find_past(
    conn: Connection,
    form: Form,
    moment: Moment,
    given: dict[str, Any],
    page_size: int,
    start: tuple[Position, Walk] | int,
) -> AssetPage:
    """Return a page of the assets as they were; those that follow a first one see what it saw."""
    if isinstance(start, int):
        page = _read(conn, replace(form, counts=True), {**given, "skipped": start}, page_size)
        return replace(page, changed_at=None)  # what came late may have changed no present asset
    position, walk = start
    given |= {**position.bind(), **moment.bind(walk.seen)}
    page = _read(conn, replace(form, after=position.nulls), given, page_size)
    return replace(page, walk=walk, version=walk.version, changed_at=None)


def stream_assets(conn: Connection, wanted: AssetQuery) -> Iterator[list[str]]:
    """Give every asset that passes the filters as a line, some at a time as the server sends them.

    It needs a transaction: the rows stay on the server until they are asked for.
    """
    for part in whole_of(wanted.form).stream(conn, wanted.bind(), STREAMED_ROWS):
        yield [line for (line,) in part]


def stream_rows(conn: Connection, wanted: AssetQuery) -> Iterator[Sequence[Row[Any]]]:
    """Give every asset that passes the filters as a row whose decimals are text, as above."""
    return rows_of(wanted.form).stream(conn, wanted.bind(), STREAMED_ROWS)


def read_version(conn: Connection) -> tuple[int, float | None]:
    """Return the version of the data, and when it last changed in seconds since 1970."""
    version, changed_at = conn.execute(NEWEST).one()
    return version, None if changed_at is None else float(changed_at)


def _read(conn: Connection, form: Form, given: dict[str, Any], page_size: int) -> AssetPage:
    [(lines, found, state, rank, last_id, *keys)] = page_of(form).execute(conn, given)
    version, changed_at, known_from, total, seen = state.split(" ", 4)
    return AssetPage(
        lines=lines or "",
        count=min(found, page_size),
        end=Position(tuple(keys), last_id, rank) if found > page_size else None,
        walk=Walk(int(version), int(total), seen or None),
        version=int(version),
        changed_at=float(changed_at) if changed_at else None,
        known_from=int(known_from),
    )
