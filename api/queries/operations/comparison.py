"""The differences between the listings that two runs of a source observed."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    FromClause,
    Numeric,
    Select,
    Text,
    cast,
    func,
    literal,
    null,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import distinct_on

from shared.schema.market import assets, listings, observations
from shared.schema.operations import runs

APPEARED, NOT_ANEW, MOVED = "appeared", "not_observed_anew", "moved"


@dataclass(slots=True)
class Difference:
    """The number of listings of one kind, and the first of them."""

    total: int = 0
    listings: list[dict[str, Any]] = field(default_factory=list)


def compare_observations(conn: Connection, a: int, b: int, limit: int) -> dict[str, Difference]:
    """Find the listings that appeared in run b, that b did not observe again, and that moved most.

    An index on the run finds a run's observations. A listing appeared in b if it was created while
    b was running, because no other run of the source can run then.
    """
    of_a, of_b = _last_observed(a, "of_a"), _last_observed(b, "of_b")
    was_made_by_b = listings.c.created_at.between(
        _of_run(b, runs.c.started_at), func.coalesce(_of_run(b, runs.c.finished_at), func.now())
    )
    appeared = _listed(of_b, of_b, APPEARED, limit, new=of_b.c.price_usd).where(was_made_by_b)
    not_anew = _listed(of_a, of_a, NOT_ANEW, limit, old=of_a.c.price_usd).where(
        of_a.c.listing_id.not_in(select(of_b.c.listing_id))
    )
    both = of_a.join(of_b, of_a.c.listing_id == of_b.c.listing_id)
    percent = func.round((of_b.c.price_usd / of_a.c.price_usd - 1) * 100, 6)
    moved = _listed(
        both, of_b, MOVED, limit, old=of_a.c.price_usd, new=of_b.c.price_usd, percent=percent
    ).where(of_a.c.price_usd > 0, of_b.c.price_usd != of_a.c.price_usd)
    parts = [select(each.subquery()) for each in (appeared, not_anew, moved)]
    found: dict[str, Difference] = {}
    for row in conn.execute(union_all(*parts)).mappings():
        difference = found.setdefault(row["kind"], Difference(row["total"]))
        difference.listings.append(dict(row))
    return {kind: found.get(kind, Difference()) for kind in (APPEARED, NOT_ANEW, MOVED)}


def _last_observed(run_id: int, name: str) -> CTE:
    """Select a run's last observation of each listing."""
    return (
        select(observations.c.listing_id, observations.c.price_usd)
        .where(observations.c.run_id == run_id)
        .ext(distinct_on(observations.c.listing_id))
        .order_by(
            observations.c.listing_id,
            observations.c.observed_at.desc(),
            observations.c.superseded_at.desc().nulls_first(),
        )
        .cte(name)
        .prefix_with("MATERIALIZED")
    )


def _of_run(run_id: int, column: ColumnElement[Any]) -> Any:
    return select(column).where(runs.c.id == run_id).scalar_subquery()


def _listed(
    observed: FromClause, run: CTE, kind: str, limit: int, **prices: ColumnElement[Any]
) -> Select[Any]:
    """Count listings and select the first of them, by their move if given, otherwise by id."""
    nothing = cast(null(), Numeric)
    percent = prices.get("percent", nothing)
    return (
        select(
            cast(literal(kind), Text).label("kind"),
            func.count().over().label("total"),
            assets.c.slug.label("asset"),
            listings.c.external_id,
            listings.c.symbol,
            listings.c.name,
            prices.get("old", nothing).label("price_usd_a"),
            prices.get("new", nothing).label("price_usd_b"),
            percent.label("percent"),
        )
        .select_from(
            observed.join(listings, listings.c.id == run.c.listing_id).join(
                assets, assets.c.id == listings.c.asset_id
            )
        )
        .order_by(func.abs(percent).desc().nulls_last(), listings.c.id)
        .limit(limit)
    )
