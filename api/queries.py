"""What the API asks: one function per question, one SELECT each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    FromClause,
    Integer,
    RowMapping,
    Select,
    Text,
    Values,
    case,
    column,
    extract,
    func,
    literal,
    or_,
    select,
    table,
    true,
    union_all,
    values,
)

from api.keyset import Position, Sort, stretches_after
from shared.records import VALUES
from shared.tables import RAW, assets, checkpoints, listings, runs

ASSET_COLUMNS = (
    "slug",
    "symbol",
    "name",
    *VALUES,
    "observed_at",
    "source_count",
    "price_spread_percent",
    "version",
    "created_at",
    "updated_at",
)
"""What the API shows of an asset, and can sort by."""

LISTING_COLUMNS = (
    "source",
    "external_id",
    "symbol",
    "name",
    *VALUES,
    "observed_at",
    "payload_hash",
    "run_id",
    "match_method",
    "match_score",
    "match_evidence",
)

COUNTS = ("fetched", "new", "unchanged", "rejected")
"""What becomes of records; the columns of the tables are named `records_fetched` and so on."""

RECENT_RUNS = 100
"""How many of a source's last runs its averages are made of."""

USUAL_RUNS = 20
"""How many of a source's last good runs say how long one takes."""

alembic_version = table("alembic_version", column("version_num", Text))


@dataclass(frozen=True, slots=True)
class Filters:
    """Which assets: all conditions must hold, each for any of its values."""

    symbols: Sequence[str] = ()
    sources: Sequence[str] = ()
    q: str | None = None


@dataclass(frozen=True, slots=True)
class AssetPage:
    """A page of assets; `end` is where the next one starts, None on the last page."""

    rows: Sequence[RowMapping]
    total: int
    end: Position | None


def find_assets(
    conn: Connection,
    filters: Filters,
    sort: Sort,
    page_size: int,
    start: Position | int = 0,
) -> AssetPage:
    """Return a page of the assets that pass the filters, and how many there are on all pages.

    It starts after a position, or after a number of rows.
    """
    conditions, rank = _conditions(filters), _rank(filters.q)
    after, skipped = (start, 0) if isinstance(start, Position) else (None, start)
    columns = [assets.c.id, *(assets.c[name] for name in ASSET_COLUMNS), sort.key.label("key")]
    if rank is not None:
        columns.append(rank.label("rank"))
    stretches = stretches_after(sort, after, rank) if after else [true()]
    first = skipped + page_size + 1  # the one beyond the page tells whether there is another
    # Each stretch by itself ordered and cut short, so that each is read from its place in an index.
    parts = [_ordered(select(*columns).where(*conditions, each), sort, first) for each in stretches]
    found = parts[0] if len(parts) == 1 else _ordered(union_all(*parts), sort, first)
    page = found.limit(page_size + 1).offset(skipped).cte("page")
    total = select(func.count().label("total")).select_from(assets).where(*conditions).cte("total")
    stmt = (
        select(total.c.total, page)
        .select_from(total.outerjoin(page, true()))
        .order_by(*sort.order(page.c))
    )
    rows = conn.execute(stmt).mappings().all()
    shown = [row for row in rows if row["id"] is not None][:page_size]
    last = shown[-1] if len(rows) > page_size else None
    end = Position(last["key"], last["id"], last.get("rank", 0)) if last else None
    return AssetPage(shown, rows[0]["total"], end)


def _ordered(rows: Select[Any] | CompoundSelect[Any], sort: Sort, limit: int) -> Select[Any]:
    found = rows.subquery()
    return select(found).order_by(*sort.order(found.c)).limit(limit)


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if filters.symbols:
        # An asset's symbol is stored in capitals, as Postgres makes them.
        conditions.append(assets.c.symbol.in_([func.upper(symbol) for symbol in filters.symbols]))
    if filters.sources:
        theirs = select(listings.c.asset_id).where(listings.c.source.in_(filters.sources))
        conditions.append(assets.c.id.in_(theirs))
    if filters.q is not None:
        labels = (assets.c.name, assets.c.symbol, assets.c.slug)
        conditions.append(or_(*(label.icontains(filters.q, autoescape=True) for label in labels)))
    return conditions


def _rank(q: str | None) -> ColumnElement[int] | None:
    """Put what begins with the search before what only contains it."""
    if q is None:
        return None
    labels = (assets.c.name, assets.c.symbol, assets.c.slug)
    return case((or_(*(label.istartswith(q, autoescape=True) for label in labels)), 0), else_=1)


def find_asset(conn: Connection, slug: str) -> dict[str, Any] | None:
    """Return one asset with its listings, and for each value the listing that it comes from."""
    if "\x00" in slug:  # which Postgres does not take in text
        return None
    stmt = (
        select(
            *(assets.c[name].label(f"asset_{name}") for name in ASSET_COLUMNS),
            *(assets.c[f"{value}_listing_id"] for value in VALUES),
            listings.c.id,
            *(listings.c[name] for name in LISTING_COLUMNS),
        )
        .select_from(assets.outerjoin(listings, listings.c.asset_id == assets.c.id))
        .where(assets.c.slug == slug)
        .order_by(listings.c.source, listings.c.external_id)
    )
    rows = conn.execute(stmt).mappings().all()
    if not rows:
        return None
    by_id = {row["id"]: row for row in rows if row["id"] is not None}
    return {
        **{name: rows[0][f"asset_{name}"] for name in ASSET_COLUMNS},
        "provenance": {value: by_id.get(rows[0][f"{value}_listing_id"]) for value in VALUES},
        "listings": list(by_id.values()),
    }


def read_sources(conn: Connection, sources: Sequence[str]) -> list[dict[str, Any]]:
    """Return for each source its checkpoint, its run at work, its last run and its recent runs.

    Records, last success and last failure are the checkpoint's. What a source never had is None.
    Everything is found through keys and the runs' index, whatever the length of the history: a run
    at work is a source's newest, since there is one worker at a source.
    """
    known = _known(sources)
    parts = {
        "newest_run": _newest_run(known, true(), "newest_run"),
        "last_run": _newest_run(known, runs.c.outcome != "running", "last_run"),
        "recent_runs": _recent_runs(known),
    }
    joined: FromClause = known
    for part in parts.values():
        joined = joined.outerjoin(part, true())
    parts["checkpoint"] = checkpoints
    joined = joined.outerjoin(checkpoints, checkpoints.c.source == known.c.source)
    columns = [c.label(f"{name}.{c.name}") for name, part in parts.items() for c in part.c]
    stmt = select(known.c.source, func.now().label("now"), *columns).select_from(joined)
    return [_source(row) for row in conn.execute(stmt.order_by(known.c.place)).mappings()]


def read_loading(conn: Connection, sources: Sequence[str]) -> list[dict[str, Any]]:
    """Return for each source what its own runs, and the data, say of how fresh it is.

    An import is somebody's hand, and says nothing of the source. A run that was told to stop is
    neither good nor bad. Everything is found through keys, whatever the length of the history.
    """
    known = _known(sources)
    own, judged = runs.c.command == "run", runs.c.reason.is_distinct_from("stopped")
    last_run = _newest_run(known, own & judged & (runs.c.outcome != "running"), "last_run")
    last_good = _newest_run(known, own & (runs.c.outcome == "succeeded"), "last_good")
    first_bad = (
        select(runs.c.started_at)
        .where(
            runs.c.source == known.c.source,
            runs.c.id > func.coalesce(last_good.c.id, 0),
            own & judged & runs.c.outcome.in_(["partial", "failed"]),
        )
        .order_by(runs.c.id)
        .limit(1)
        .lateral("first_bad")
    )
    took = (
        select((runs.c.finished_at - runs.c.started_at).label("took"))
        .where(runs.c.source == known.c.source, own & (runs.c.outcome == "succeeded"))
        .order_by(runs.c.id.desc())
        .limit(USUAL_RUNS)
        .correlate(known)
        .subquery("recent")
    )
    # The median: a run that the machine slept through says nothing of the next.
    usual = select(func.percentile_cont(0.5).within_group(took.c.took).label("took")).lateral(
        "usual"
    )
    newest = union_all(
        *(
            select(literal(source).label("source"), func.max(RAW[source].c.observed_at).label("at"))
            for source in sources
        )
    ).subquery("newest")
    joined: FromClause = known
    for part in (last_run, last_good, first_bad, usual):
        joined = joined.outerjoin(part, true())
    stmt = (
        select(
            known.c.source,
            func.now().label("now"),
            *(c.label(f"last_run.{c.name}") for c in last_run.c),
            last_good.c.finished_at.label("last_success_at"),
            usual.c.took.label("usually_takes"),
            first_bad.c.started_at.label("failing_since"),
            newest.c.at.label("observed_at"),
        )
        .select_from(joined.join(newest, newest.c.source == known.c.source))
        .order_by(known.c.place)
    )
    return [_loading(row) for row in conn.execute(stmt).mappings()]


def _loading(row: RowMapping) -> dict[str, Any]:
    flat = {label: value for label, value in row.items() if "." not in label}
    last_run = {
        label.removeprefix("last_run."): value for label, value in row.items() if "." in label
    }
    last_run["records"] = _records(last_run)
    return {**flat, "last_run": last_run if last_run["id"] is not None else None}


def _known(sources: Sequence[str]) -> Values:
    return values(column("source", Text), column("place", Integer), name="known").data(
        [(source, place) for place, source in enumerate(sources)]
    )


def _source(row: RowMapping) -> dict[str, Any]:
    """Nest the columns of a joined row by the part that they come from."""
    parts: dict[str, Any] = {}
    for label, value in row.items():
        name, _, each = label.partition(".")
        if each:
            parts.setdefault(name, {})[each] = value
    for part in ("last_run", "checkpoint"):
        parts[part]["records"] = _records(parts[part])
    checkpoint, last_run, recent = parts["checkpoint"], parts["last_run"], parts["recent_runs"]
    newest = parts["newest_run"]
    return {
        "source": row["source"],
        "now": row["now"],
        "running": newest if newest["outcome"] == "running" else None,
        "last_run": last_run if last_run["id"] is not None else None,
        "recent_runs": recent,
        "duration_seconds": {
            "last": last_run["duration_seconds"],
            "average": recent["average_duration_seconds"],
        },
        "checkpoint": checkpoint if checkpoint["source"] is not None else None,
        "records": checkpoint["records"],
        "last_success_at": checkpoint["last_success_at"],
        "last_failure_at": checkpoint["last_failure_at"],
    }


def _records(row: Any) -> dict[str, int]:
    return {name: row[f"records_{name}"] or 0 for name in COUNTS}


def _newest_run(known: FromClause, condition: ColumnElement[bool], name: str) -> FromClause:
    columns = ("id", "command", "outcome", "reason", "started_at", "finished_at")
    return (
        select(
            *(runs.c[each] for each in columns),
            *(runs.c[f"records_{each}"] for each in COUNTS),
            _duration().label("duration_seconds"),
        )
        .where(runs.c.source == known.c.source, condition)
        .order_by(runs.c.id.desc())
        .limit(1)
        .lateral(name)
    )


def _recent_runs(known: FromClause) -> FromClause:
    newest = (
        select(runs.c.outcome, _duration().label("duration_seconds"))
        .where(runs.c.source == known.c.source, runs.c.outcome != "running")
        .order_by(runs.c.id.desc())
        .limit(RECENT_RUNS)
        .correlate(known)
        .subquery("newest")
    )
    counts = [
        func.count().filter(newest.c.outcome == outcome).label(outcome)
        for outcome in ("succeeded", "partial", "failed")
    ]
    average = func.round(func.avg(newest.c.duration_seconds), 3)
    return select(*counts, average.label("average_duration_seconds")).lateral("recent_runs")


def _duration() -> ColumnElement[Any]:
    """Return how long a run took, in seconds, to the millisecond."""
    return func.round(extract("epoch", runs.c.finished_at - runs.c.started_at), 3)


def read_totals(conn: Connection) -> dict[str, Any]:
    """Return how many assets and listings there are, and how many records were processed."""
    sums = [
        select(func.coalesce(func.sum(checkpoints.c[f"records_{name}"]), 0))
        .scalar_subquery()
        .label(f"records_{name}")
        for name in COUNTS
    ]
    counts = [
        select(func.count()).select_from(each).scalar_subquery().label(each.name)
        for each in (assets, listings)
    ]
    row = conn.execute(select(*counts, *sums)).mappings().one()
    return {"assets": row["assets"], "listings": row["listings"], "records": _records(row)}


def read_schema_revision(conn: Connection) -> str | None:
    """Return the migration that the schema is at; None when it was never migrated."""
    return conn.scalar(select(alembic_version.c.version_num))
