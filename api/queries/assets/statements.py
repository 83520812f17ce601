"""The statements that find assets.

A statement is built once for each form of a request (its filters, order and format). Requests of
one form differ only in their values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    ColumnElement,
    CompoundSelect,
    FromClause,
    Integer,
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
from sqlalchemy.dialects.postgresql import aggregate_order_by

from api.queries.assets.columns import FIELDS, KINDS, written
from api.queries.assets.filters import Shape
from api.queries.assets.keyset import BY_MARKET_CAP, Sort, order, stretches_after
from api.queries.assets.past import SEEN, assets_then
from api.queries.statements import Statement
from shared.schema.market import asset_history, assets, dataset

READ = ("id", *FIELDS, "search_text")
"""The columns that a statement reads."""


@dataclass(frozen=True, slots=True)
class Form:
    """The part of a request that determines the text of its statement."""

    shape: Shape
    sort: Sort
    columns: tuple[str, ...]
    csv: bool
    strings: bool
    after: tuple[bool, ...] | None = None
    """For a page that starts after a position: whether each of its keys is null."""
    past: bool = False
    """Whether it shows the assets as of a past time."""
    at_version: bool = False
    """Whether it shows the assets as of a version of the last hour."""
    counts: bool = False
    """Whether it counts the assets on all pages."""
    most: int | None = None
    """Maximum number of rows on a page, if the statement is prepared."""


@lru_cache(maxsize=256)
def page_of(form: Form) -> Statement:
    """Build the statement of a page. It returns one row, because each row costs time.

    `lines` are the joined lines of the page. `found` counts one more if another page follows; then
    the other columns are the position at which it starts. `state` describes the data.
    """
    rows = _rows_of(form)
    found = form.shape.search() if form.shape.q_has_grams and rows is assets else None
    shown = _shown(form, rows, found)
    place = func.row_number().over(order_by=order(form.sort, shown.c))
    page = select(shown, _written(form, shown).label("line"), place.label("place")).subquery("page")
    size = bindparam("first", type_=Integer) - 1
    line_break = aggregate_order_by(literal("\r\n" if form.csv else "\n"), page.c.place)
    last = [page.c.id, *(page.c[f"key_{at}"].cast(Text) for at in range(len(form.sort)))]
    stmt = select(
        func.string_agg(page.c.line, line_break).filter(page.c.place <= size).label("lines"),
        func.count(page.c.id).label("found"),
        _state(form, rows, found).label("state"),
        (func.max(page.c.rank).filter(page.c.place == size) if form.shape.q else literal(0)),
        *(func.max(each).filter(page.c.place == size) for each in last),
    ).select_from(page)
    return Statement(stmt, prepared=form.most is not None)


def _shown(form: Form, rows: FromClause, found: CTE | None) -> FromClause:
    """Select the rows of a page."""
    first = bindparam("first", type_=Integer)
    enough = _enough(form, first)
    is_sorted = rows is assets and (form.shape.q or form.sort != BY_MARKET_CAP)
    parts = _parts(form, rows, ("id",) if is_sorted else READ, found)
    # Each part has its own limit, so that Postgres reads each from its position in an index.
    limited = [_ordered(part, form.sort).limit(enough) for part in parts]
    page = limited[0] if len(limited) == 1 else _ordered(union_all(*limited), form.sort)
    if form.most is not None:
        # The parts have a constant limit: for a parameter Postgres would assume many rows.
        page = _ordered(page, form.sort).limit(first)
    else:
        page = page.limit(first).offset(bindparam("skipped", type_=Integer))
    return _with_columns(page) if is_sorted else page.subquery("page")


def _with_columns(page: Select[Any]) -> FromClause:
    """Add the columns of the few rows on the page; sorting needs only the keys."""
    ids = page.subquery("ids")
    columns = [assets.c[name] for name in READ if name != "id"]
    # The limit has no effect on the result; it makes Postgres look up each row by its key.
    row = select(*columns).where(assets.c.id == ids.c.id).limit(literal_column("1")).lateral("row")
    return select(*ids.c, *row.c).select_from(ids.join(row, true())).subquery("page")


def _enough(form: Form, first: ColumnElement[int]) -> ColumnElement[int]:
    """Return how many rows of a part a page needs at most."""
    if form.most is not None:
        return literal(form.most)
    return first + bindparam("skipped", type_=Integer)


def _state(form: Form, rows: FromClause, found: CTE | None) -> ColumnElement[str]:
    """Write the state of the data as one text: version, change time, `known_from`, total, seen."""
    total: Any = 0
    if form.counts:
        conditions = form.shape.conditions(rows, searched=found is not None)
        if found is not None:
            conditions.append(rows.c.id == any_(_ids(found)))
        everything = select(func.count()).select_from(rows).where(*conditions)
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
def whole_of(form: Form) -> Statement:
    rows = _all(form)
    stmt = select(_written(form, rows).label("line"))
    return Statement(stmt.order_by(*order(form.sort, rows.c)))


@lru_cache(maxsize=64)
def rows_of(form: Form) -> Statement:
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
    """Select the matching rows in disjoint parts.

    Without a position and a search it is one part. A search gives two: the rows that begin with the
    text, and the others.
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
    conditions = form.shape.conditions(rows, searched=searched)
    return [select(*columns).where(*conditions, each) for each in stretches]


def _ids(found: CTE, begins: ColumnElement[bool] | None = None) -> ColumnElement[Any]:
    """Return the ids that a search found as an array, so that each asset is looked up by key."""
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
    """Select the assets as of a version of the last hour."""
    version = bindparam("version", type_=BigInteger)
    return union_all(
        select(*(assets.c[name] for name in READ)).where(assets.c.version <= version),
        select(*(asset_history.c[name] for name in READ)).where(
            asset_history.c.version <= version, asset_history.c.replaced_by > version
        ),
    ).subquery("at_version")


def _written(form: Form, rows: FromClause) -> ColumnElement[str]:
    return written(rows, form.columns, csv=form.csv, strings=form.strings)
