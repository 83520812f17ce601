"""Find assets: a page of them, or all, as lines that Postgres wrote."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, extract, select

from api.database.cache import RecentValues
from api.queries.assets.cursors import Walk
from api.queries.assets.keyset import Position
from api.queries.assets.past import Moment
from api.queries.assets.query import AssetQuery
from api.queries.assets.statements import Form, page_of, rows_of, whole_of
from api.request.problems import CursorExpiredError, DataBehindError
from shared.schema.market import dataset

STREAMED_ROWS = 1000
"""Number of rows of an export that are fetched at once."""


@dataclass(frozen=True, slots=True)
class AssetPage:
    """A page of assets as lines. The next page starts after `end`; None on the last page."""

    lines: str
    """Joined with CR LF for CSV, and with line feeds for JSON, whose lines contain none."""
    count: int
    end: Position | None
    walk: Walk
    version: int
    """The version of the data on this page: that of the walk; for a first page the newest."""
    changed_at: float | None
    """Unix time of the last change of the data; None before the first."""
    known_from: int
    """The oldest version for which replaced rows are still stored."""


NEWEST = select(dataset.c.version, extract("epoch", dataset.c.changed_at).label("changed_at"))


def find_assets(
    conn: Connection,
    query: AssetQuery,
    page_size: int,
    start: tuple[Position, Walk] | int,
    totals: RecentValues[tuple[int, int]],
) -> AssetPage:
    """Return a page of the assets that match the filters, from one snapshot.

    `start` is a number of rows to skip, which begins a walk, or a position in a walk. Then the page
    shows the assets as of the walk's version, which is at most an hour old. `totals` caches for
    filters the version of the data and the number of matching assets at that version.

    Raises:
        CursorExpiredError: the rows of the walk's version are no longer stored.
        DataBehindError: this server does not have the walk's version yet.
    """
    form = query.form_of(page_size, skips=isinstance(start, int) and start > 0)
    parameters = {**query.bind(), "first": page_size + 1, "skipped": 0}
    if query.moment is not None:
        return _find_past(conn, form, query.moment, parameters, page_size, start)
    if isinstance(start, int):
        parameters["skipped"] = start
        version, total = totals.get(query.filters) or (None, 0)
        if version is not None:
            page = _read(conn, form, parameters, page_size)
            if page.version == version:
                return replace(page, walk=replace(page.walk, total=total))
        page = _read(conn, replace(form, counts=True), parameters, page_size)
        totals.put(query.filters, (page.version, page.walk.total))
        return page
    position, walk = start
    form = replace(form, after=position.nulls)
    parameters |= {**position.bind(), "version": walk.version}
    page = _read(conn, form, parameters, page_size)
    if page.version != walk.version:
        page = _read(conn, replace(form, at_version=True, most=None), parameters, page_size)
        if walk.version < page.known_from:
            raise CursorExpiredError
        if walk.version > page.version:
            raise DataBehindError
    return replace(page, walk=walk, version=walk.version)


def _find_past(
    conn: Connection,
    form: Form,
    moment: Moment,
    parameters: dict[str, Any],
    page_size: int,
    start: tuple[Position, Walk] | int,
) -> AssetPage:
    """Return a page of the assets as of a moment. All pages of a walk see the same records."""
    if isinstance(start, int):
        page = _read(conn, replace(form, counts=True), {**parameters, "skipped": start}, page_size)
        return replace(page, changed_at=None)  # late records may change the past alone
    position, walk = start
    parameters |= {**position.bind(), **moment.bind(walk.seen)}
    page = _read(conn, replace(form, after=position.nulls), parameters, page_size)
    return replace(page, walk=walk, version=walk.version, changed_at=None)


def stream_assets(conn: Connection, query: AssetQuery) -> Iterator[list[str]]:
    """Yield the lines of all assets that match the filters, in parts as the server sends them.

    It needs a transaction, because the rows are read through a server-side cursor.
    """
    for part in whole_of(query.form).stream(conn, query.bind(), STREAMED_ROWS):
        yield [line for (line,) in part]


def stream_rows(conn: Connection, query: AssetQuery) -> Iterator[Sequence[Row[Any]]]:
    """Yield the rows of all matching assets like `stream_assets`, with decimals as text."""
    return rows_of(query.form).stream(conn, query.bind(), STREAMED_ROWS)


def read_version(conn: Connection) -> tuple[int, float | None]:
    """Return the version of the data and the Unix time of its last change."""
    version, changed_at = conn.execute(NEWEST).one()
    return version, None if changed_at is None else float(changed_at)


def _read(conn: Connection, form: Form, parameters: dict[str, Any], page_size: int) -> AssetPage:
    [(lines, found, state, rank, last_id, *keys)] = page_of(form).execute(conn, parameters)
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
