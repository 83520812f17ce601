"""Queries of `worker identity`: listings, one asset, and pairs that need a decision."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from shared.schema.identity import (
    SUCCESSORS,
    contracts,
    corrections,
    crosswalk,
    identity_events,
    listing_names,
    matches,
    needs_decision,
)
from shared.schema.market import assets, listings, pending_ids, removed_assets, retirements

l, a = listings.c, assets.c  # noqa: E741
COLUMNS = (
    *(l.source, l.external_id, a.slug.label("asset"), l.symbol, l.name, l.price_usd),
    *(l.market_cap_usd, l.circulating_supply, l.total_supply, l.max_supply, l.observed_at),
    *(l.match_method, l.match_score, l.match_evidence),
)

CONTRACTS = (
    select(func.array_agg(contracts.c.chain + ":" + contracts.c.address))
    .where(contracts.c.source == l.source, contracts.c.external_id == l.external_id)
    .correlate(listings)
    .scalar_subquery()
    .label("contracts")
)
FORMER_NAMES = (
    select(func.array_agg(listing_names.c.name + " (" + listing_names.c.symbol + ")"))
    .where(
        listing_names.c.listing_id == l.id,
        or_(listing_names.c.name != l.name, listing_names.c.symbol != l.symbol),
    )
    .correlate(listings)
    .scalar_subquery()
    .label("former_names")
)
IS_PENDING = (
    select(pending_ids)
    .where(pending_ids.c.source == l.source, pending_ids.c.external_id == l.external_id)
    .correlate(listings)
    .exists()
    .label("pending")
)
LISTINGS_WITH_ASSETS = listings.join(assets, l.asset_id == a.id)


def asset_exists(conn: Connection, slug: str) -> bool:
    return bool(conn.scalar(select(select(assets).where(a.slug == slug).exists())))


def describe_missing(conn: Connection, slug: str) -> str:
    """Say that no asset has this slug; for a removed asset, name its successors."""
    successors = conn.scalars(SUCCESSORS, {"slug": slug}).all()
    if successors:
        return f"asset {slug!r} was removed; its listings belong to {', '.join(successors)} now"
    return f"no asset {slug!r}; see `worker identity list`"


def read_listings(
    conn: Connection, asset: str | None, source: str | None, method: str | None, limit: int
) -> Sequence[Any]:
    """Return listings with their assets, sorted by asset and source."""
    stmt = select(*COLUMNS).select_from(LISTINGS_WITH_ASSETS)
    for column, value in ((a.slug, asset), (l.source, source), (l.match_method, method)):
        if value is not None:
            stmt = stmt.where(column == value)
    return conn.execute(stmt.order_by(a.slug, l.source, l.external_id).limit(limit)).all()


def read_asset(conn: Connection, slug: str) -> dict[str, Any] | None:
    """Return an asset with its listings, events and decisions; None if it does not exist."""
    found = conn.execute(select(assets).where(a.slug == slug)).one_or_none()
    if found is None:
        return None
    own = select(l.id).where(l.asset_id == found.id)
    columns = (*COLUMNS, CONTRACTS, FORMER_NAMES, IS_PENDING)
    members = select(*columns).select_from(LISTINGS_WITH_ASSETS).where(a.id == found.id)
    e, c = identity_events.c, corrections.c
    events = (
        select(e.id, e.at, e.run_id, l.source, l.external_id, e.method, e.evidence)
        .add_columns(e.evidence["decision"].astext.label("decision"), e.decided_by, e.reason)
        .add_columns(e.from_asset_id, _slug_of(e.from_asset_id).label("from_asset"))
        .add_columns(e.to_asset_id, _slug_of(e.to_asset_id).label("to_asset"))
        .select_from(identity_events.join(listings, e.listing_id == l.id))
        .where(or_(e.listing_id.in_(own), found.id == e.from_asset_id, found.id == e.to_asset_id))
    )
    side = and_(l.source == c.source, l.external_id == c.external_id)
    other = and_(l.source == c.other_source, l.external_id == c.other_external_id)
    active = select(corrections).where(
        c.revoked_at.is_(None),
        select(l.id).where(l.asset_id == found.id, or_(side, other)).exists(),
    )
    retired = (
        select(retirements)
        .join(
            listings,
            and_(l.source == retirements.c.source, l.external_id == retirements.c.external_id),
        )
        .where(l.asset_id == found.id, retirements.c.revoked_at.is_(None))
    )
    crosswalk_lines = select(crosswalk).where(
        select(l.id)
        .where(
            l.asset_id == found.id,
            l.source == crosswalk.c.source,
            l.external_id == crosswalk.c.external_id,
        )
        .exists()
    )
    return {
        "asset": {"slug": found.slug, "symbol": found.symbol, "name": found.name},
        "listings": conn.execute(members.order_by(l.source, l.external_id)).all(),
        "events": conn.execute(events.order_by(e.id)).all(),
        "corrections": conn.execute(active.order_by(c.id)).all(),
        "retirements": conn.execute(retired.order_by(retirements.c.id)).all(),
        "crosswalk": conn.execute(crosswalk_lines).all(),
    }


def _slug_of(asset_id: ColumnElement[int]) -> ColumnElement[str]:
    """SQL: the slug of an asset, also of a removed one."""
    present, removed = assets.alias().c, removed_assets.alias().c
    return func.coalesce(
        select(present.slug).where(present.id == asset_id).scalar_subquery(),
        select(removed.slug).where(removed.asset_id == asset_id).scalar_subquery(),
    )


def read_reviews(conn: Connection, limit: int) -> list[dict[str, Any]]:
    """Return the pairs that a person should decide, the largest market cap first.

    `one` is the listing in question, `other` its possible match. Linked pairs are included if
    their prices contradict the link.
    """
    m, one, other = matches.c, listings.alias("one"), listings.alias("other")
    cap = func.greatest(one.c.market_cap_usd, other.c.market_cap_usd)
    stmt = (
        select(matches)
        .join(one, one.c.id == m.listing_id)
        .join(other, other.c.id == m.other_listing_id)
        .where(needs_decision(one, other))
        .order_by(cap.desc().nulls_last(), m.listing_id, m.other_listing_id)
        .limit(limit)
    )
    rows = conn.execute(stmt).all()
    ids = {id_ for row in rows for id_ in (row.listing_id, row.other_listing_id)}
    sides = {
        row.id: row._asdict()
        for row in conn.execute(
            select(l.id, *COLUMNS, CONTRACTS).select_from(LISTINGS_WITH_ASSETS).where(l.id.in_(ids))
        )
    }
    return [
        {
            "method": row.method,
            "verdict": row.verdict,
            "score": row.score,
            "prices": row.prices,
            "evidence": row.evidence,
            "decided_at": row.decided_at,
            "one": sides[row.listing_id],
            "other": sides[row.other_listing_id],
        }
        for row in rows
    ]


def count_pending(conn: Connection) -> Mapping[str, int]:
    """Count the pending ids of each source that are not delisted; identity ignores them."""
    p = pending_ids.c
    of_id = (listings.c.source == p.source, listings.c.external_id == p.external_id)
    stmt = select(p.source, func.count().label("ids")).where(
        select(listings.c.id).where(*of_id, listings.c.delisted_at.is_(None)).exists()
    )
    stmt = stmt.group_by(p.source).order_by(p.source)
    return {row.source: row.ids for row in conn.execute(stmt)}
