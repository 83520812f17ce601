"""The statements that find assets.

They are made once for each form of a request (which filters, which order, which format); only their
values differ from one request to the next.
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
"""The columns that a statement reads from."""


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


@lru_cache(maxsize=256)
def page_of(form: Form) -> Statement:
    """Make the statement of a page: one row, since each row more costs the driver and us.

    `lines` are those of the page, joined; `found` counts one more where there is a further page,
    and then the other columns are where that starts. `state` is that of the data.
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
