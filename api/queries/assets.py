"""The question which assets there are: a page of them, or all, as lines that Postgres wrote.

Statements are made once for each form of a request (which filters, which order, which format); only
their values differ from one request to the next.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Connection,
    FromClause,
    Integer,
    Row,
    Select,
    Text,
    any_,
    bindparam,
    extract,
    false,
    func,
    literal,
    literal_column,
    select,
    true,
    union_all,
)

from api.cache import Recent
from api.columns import ASSET_COLUMNS, FIELDS, KINDS, written
from api.cursors import Walk
from api.keyset import BY_MARKET_CAP, Position, Sort, order, stretches_after
from api.problems import CursorExpiredError, DataBehindError
from api.queries.filters import Filters, Shape
from api.queries.past import SEEN, Moment, assets_then
from api.queries.statements import Statement
from shared.tables import asset_history, assets, dataset

READ = ("id", *FIELDS, "sources", "search_text")
"""The columns that a statement reads from."""

STREAMED_ROWS = 1000
"""How many rows of an export are fetched at once."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which assets a request wants, in which order, which columns of them, written how."""

    filters: Filters = field(default_factory=Filters)
    sort: Sort = BY_MARKET_CAP
    columns: tuple[str, ...] = ASSET_COLUMNS
    csv: bool = False
    strings: bool = False
    bom: bool = False
    """Whether CSV begins with a byte order mark."""
    moment: Moment | None = None
    """As they were when; None for as they are."""

    @property
    def form(self) -> "Form":
        past = self.moment is not None
        return Form(self.filters.shape, self.sort, self.columns, self.csv, self.strings, past=past)

    def form_of(self, page_size: int, *, skips: bool) -> "Form":
        """Give the form of a page, which is planned once where its values do not decide on how."""
        form = self.form
        if form.past or skips or form.shape.is_selective:
            return form
        return replace(form, most=1 << page_size.bit_length())

    def bind(self) -> dict[str, Any]:
        """Give the values that the form's statements leave open."""
        return {**self.filters.bind(), **(self.moment.bind() if self.moment else {})}


@dataclass(frozen=True, slots=True)
class Form:
    """What decides on a statement's text."""

    shape: Shape
    sort: Sort
    columns: tuple[str, ...]
    csv: bool
    strings: bool
    after: tuple[bool, ...] | None = None
    """For a page that starts after a position: which of its keys are null."""
    past: bool = False
    """Whether assets are shown as they were at a time, not as they are."""
    at_version: bool = False
    """Whether they are shown as they were at a version of the last hour."""
    counts: bool = False
    """Whether the assets on all pages are counted."""
    most: int | None = None
    """At most how many rows a page has, where the statement is planned once for all values."""


@dataclass(frozen=True, slots=True)
class AssetPage:
    """A page of assets as lines; `end` is where the next one starts, None on the last page."""

    lines: Sequence[str]
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
    wanted: Wanted,
    page_size: int,
    start: tuple[Position, Walk] | int,
    totals: Recent[tuple[int, int]],
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
        totals.keep(wanted.filters, (page.version, page.walk.total))
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


def stream_assets(conn: Connection, wanted: Wanted) -> Iterator[list[str]]:
    """Give every asset that passes the filters as a line, some at a time as the server sends them.

    It needs a transaction: the rows stay on the server until they are asked for.
    """
    for part in _whole(wanted.form).stream(conn, wanted.bind(), STREAMED_ROWS):
        yield [line for (line,) in part]


def stream_rows(conn: Connection, wanted: Wanted) -> Iterator[Sequence[Row[Any]]]:
    """Give every asset that passes the filters as a row whose decimals are text, as above."""
    return _rows(wanted.form).stream(conn, wanted.bind(), STREAMED_ROWS)


def read_version(conn: Connection) -> tuple[int, float | None]:
    """Return the version of the data, and when it last changed in seconds since 1970."""
    version, changed_at = conn.execute(NEWEST).one()
    return version, None if changed_at is None else float(changed_at)


def _read(conn: Connection, form: Form, given: dict[str, Any], page_size: int) -> AssetPage:
    rows = _page(form).execute(conn, given)
    first = rows[0]
    last = rows[page_size - 1] if len(rows) > page_size else None
    version, changed_at, known_from, total, seen = first.state.split(" ", 4)
    return AssetPage(
        lines=[row[1] for row in rows[:page_size] if row[0] is not None],  # by place: it is faster
        end=_position(last, len(form.sort)) if last else None,
        walk=Walk(int(version), int(total), seen or None),
        version=int(version),
        changed_at=float(changed_at) if changed_at else None,
        known_from=int(known_from),
    )


def _position(row: Row[Any], keys: int) -> Position:
    rank = row.rank if "rank" in row._fields else 0
    return Position(tuple(getattr(row, f"key_{place}") for place in range(keys)), row.id, rank)


@lru_cache(maxsize=256)
def _page(form: Form) -> Statement:
    """Make the statement of a page. Its first row has the state of the data, though it be empty."""
    rows = _rows_of(form)
    found = form.shape.search() if form.shape.q_has_grams and rows is assets else None
    shown = _shown(form, rows, found)
    stmt = select(
        shown.c.id,
        _written(form, shown).label("line"),
        *(shown.c[f"key_{place}"].cast(Text) for place in range(len(form.sort))),
        *([shown.c.rank] if form.shape.q else []),
        _state(form, rows, found).label("state"),
    ).select_from(dataset.outerjoin(shown, true()))
    return Statement(stmt.order_by(*order(form.sort, shown.c)), prepared=form.most is not None)


def _shown(form: Form, rows: FromClause, found: CTE | None) -> FromClause:
    """Select the rows of a page."""
    first = bindparam("first", type_=Integer)
    enough = _enough(form, first)
    is_sorted = rows is assets and (form.shape.q or form.sort != BY_MARKET_CAP)
    parts = _parts(form, rows, ("id",) if is_sorted else READ, found)
    # Each part is cut short by itself, so that each is read from its place in an index.
    cut = [_ordered(part, form.sort).limit(enough) for part in parts]
    page = cut[0] if len(cut) == 1 else _ordered(union_all(*cut), form.sort)
    if form.most is not None:
        # Inside what Postgres knows not to be many; it would take an open number for many.
        page = _ordered(page, form.sort).limit(first)
    else:
        page = page.limit(first).offset(bindparam("skipped", type_=Integer))
    return _with_columns(page) if is_sorted else page.subquery("page")


def _with_columns(page: Select[Any]) -> FromClause:
    """Look up the columns of the few rows that are shown: to sort by a key, the key is enough."""
    ids = page.subquery("ids")
    columns = [assets.c[name] for name in READ if name != "id"]
    # A limit that limits nothing keeps it a look-up by key, whatever Postgres thinks of the sizes.
    row = select(*columns).where(assets.c.id == ids.c.id).limit(literal_column("1")).lateral("row")
    return select(*ids.c, *row.c).select_from(ids.join(row, true())).subquery("page")


def _enough(form: Form, first: ColumnElement[int]) -> ColumnElement[int]:
    """Say how many rows of a part are enough."""
    if form.most is not None:
        return literal(form.most)
    return first + bindparam("skipped", type_=Integer)


def _state(form: Form, rows: FromClause, found: CTE | None) -> ColumnElement[str]:
    """Write what is known of the data as a whole, once for all rows."""
    total: Any = 0
    if form.counts:
        passes = form.shape.conditions(rows, searched=found is not None)
        if found is not None:
            passes.append(rows.c.id == any_(_ids(found)))
        everything = select(func.count()).select_from(rows).where(*passes)
        total = everything.scalar_subquery()
    changed_at = extract("epoch", dataset.c.changed_at)
    state = func.concat_ws(
        " ",
        dataset.c.version,
        func.coalesce(changed_at.cast(Text), ""),
        dataset.c.known_from,
        total,
        literal_column(f"coalesce({SEEN}::text, '')") if form.past else "",
    )
    return select(state).select_from(dataset).correlate(None).scalar_subquery()


@lru_cache(maxsize=64)
def _whole(form: Form) -> Statement:
    rows = _all(form)
    stmt = select(_written(form, rows).label("line"))
    return Statement(stmt.order_by(*order(form.sort, rows.c)))


@lru_cache(maxsize=64)
def _rows(form: Form) -> Statement:
    rows = _all(form)
    columns = [
        rows.c[name].cast(Text) if KINDS[name] is Decimal else rows.c[name] for name in form.columns
    ]
    return Statement(select(*columns).order_by(*order(form.sort, rows.c)))


def _all(form: Form) -> FromClause:
    [found] = _parts(form, _rows_of(form), READ)
    return found.subquery("found")


def _parts(
    form: Form, rows: FromClause, names: Sequence[str] = READ, found: CTE | None = None
) -> list[Select[Any]]:
    """Select the rows that pass, in parts that no two share.

    One, where no position is given and nothing was `found` by a search; of what was, that which
    begins with it and the rest.
    """
    if found is None:
        return _stretches(form, rows, names, form.shape.rank(rows))
    begins, others = (_ids(found, begins) for begins in (true(), false()))
    return [
        part.where(rows.c.id == any_(ids))
        for rank, ids in ((0, begins), (1, others))
        for part in _stretches(form, rows, names, literal_column(str(rank), Integer), searched=True)
    ]


def _stretches(
    form: Form,
    rows: FromClause,
    names: Sequence[str],
    rank: ColumnElement[int] | None,
    *,
    searched: bool = False,
) -> list[Select[Any]]:
    columns = [*(rows.c[name] for name in names)]
    columns += [each.of(rows).label(f"key_{place}") for place, each in enumerate(form.sort)]
    if rank is not None:
        columns.append(rank.label("rank"))
    stretches: Sequence[ColumnElement[bool]] = [true()]
    if form.after is not None:
        stretches = stretches_after(form.sort, form.after, rows, rank)
    passes = form.shape.conditions(rows, searched=searched)
    return [select(*columns).where(*passes, each) for each in stretches]


def _ids(found: CTE, begins: ColumnElement[bool] | None = None) -> ColumnElement[Any]:
    """List the assets that a search found, so that each is looked up by its key."""
    ids = select(found.c.asset_id)
    if begins is not None:
        ids = ids.where(found.c.begins == begins)
    return func.array(ids.scalar_subquery(), type_=ARRAY(Integer))


def _ordered(rows: Select[Any] | CompoundSelect[Any], sort: Sort) -> Select[Any]:
    found = rows.subquery()
    return select(found).order_by(*order(sort, found.c))


def _rows_of(form: Form) -> FromClause:
    if form.past:
        return assets_then(READ)
    return _at_version() if form.at_version else assets


def _at_version() -> FromClause:
    """Select the assets as they were at a version of the last hour."""
    version = bindparam("version", type_=BigInteger)
    return union_all(
        select(*(assets.c[name] for name in READ)).where(assets.c.version <= version),
        select(*(asset_history.c[name] for name in READ)).where(
            asset_history.c.version <= version, asset_history.c.replaced_by > version
        ),
    ).subquery("at_version")


def _written(form: Form, rows: FromClause) -> ColumnElement[str]:
    return written(rows, form.columns, csv=form.csv, strings=form.strings)
