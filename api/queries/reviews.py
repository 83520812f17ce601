"""Identity reviews: pairs of listings that need a decision, or that a person has decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    cast,
    false,
    func,
    null,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by, distinct_on

from api.queries.id_pages import Page
from shared.model.reviews import commands_of, undo_command
from shared.schema.identity import contracts, corrections, matches, needs_decision
from shared.schema.market import assets, listings

FACTS = (
    "source",
    "external_id",
    "symbol",
    "name",
    "price_usd",
    "market_cap_usd",
    "circulating_supply",
    "total_supply",
    "max_supply",
    "observed_at",
    "delisted_at",
)
"""The columns of a listing that are shown, in addition to its asset and contracts."""

JUDGED = ("method", "verdict", "score", "prices", "evidence")
DECIDED = ("id", "same", "decided_by", "reason", "decided_at")


@dataclass(frozen=True, slots=True)
class ReviewFilters:
    """The filters of a request for reviews. One of the two listings must match each of them."""

    is_open: bool | None = None
    sources: Sequence[str] = ()
    asset: str | None = None
    """A slug."""


@dataclass(frozen=True, slots=True)
class ReviewPlace:
    """The position of a review: open ones first, then newest first, then by listing."""

    is_open: bool
    since: datetime
    listing_id: int
    other_listing_id: int


def find_reviews(
    conn: Connection, filters: ReviewFilters, page_size: int, after: ReviewPlace | None
) -> Page:
    """Return a page of the reviews that match the filters; its end is a `ReviewPlace`.

    Open reviews are those that `worker identity review` shows. The others are decided pairs, each
    with its newest decision that applies.
    """
    found = _found(filters)
    page = select(found).order_by(*_order(found)).limit(page_size + 1)
    if after is not None:
        page = page.where(_follows(found, after))
    chosen = page.cte("page")
    total = select(func.count().label("total")).select_from(found).cte("counted")
    sides = {
        "one": _side("one", chosen.c.listing_id),
        "other": _side("other", chosen.c.other_listing_id),
    }
    stmt = (
        select(
            total.c.total,
            chosen,
            *(c.label(f"{name}.{c.name}") for name, s in sides.items() for c in s.c),
        )
        .select_from(
            total.outerjoin(chosen, true())
            .outerjoin(sides["one"], true())
            .outerjoin(sides["other"], true())
        )
        .order_by(*_order(chosen))
    )
    rows = conn.execute(stmt).mappings().all()
    shown = [row for row in rows if row["listing_id"] is not None][:page_size]
    end = None
    if len(rows) > page_size:
        last = shown[-1]
        end = ReviewPlace(
            last["is_open"], last["since"], last["listing_id"], last["other_listing_id"]
        )
    return Page([_nested(row) for row in shown], rows[0]["total"], end)


def _order(reviews: CTE) -> tuple[ColumnElement[Any], ...]:
    c = reviews.c
    return c.is_open.desc(), c.since.desc(), c.listing_id, c.other_listing_id


def _found(filters: ReviewFilters) -> CTE:
    one, other = listings.alias("one"), listings.alias("other")
    conditions: list[ColumnElement[bool]] = []
    if filters.sources:
        conditions.append(
            or_(one.c.source.in_(filters.sources), other.c.source.in_(filters.sources))
        )
    if filters.asset is not None:
        its = select(assets.c.id).where(assets.c.slug == filters.asset).scalar_subquery()
        conditions.append(or_(one.c.asset_id == its, other.c.asset_id == its))
    kinds: Mapping[bool, Select[Any]] = {True: _open(one, other), False: _decided(one, other)}
    parts = [
        select(stmt.where(*conditions).subquery())
        for is_open, stmt in kinds.items()
        if filters.is_open in {None, is_open}
    ]
    return union_all(*parts).cte("reviews")


def _open(one: FromClause, other: FromClause) -> Select[Any]:
    return (
        select(
            true().label("is_open"),
            matches.c.decided_at.label("since"),
            one.c.id.label("listing_id"),
            other.c.id.label("other_listing_id"),
            *(matches.c[name] for name in JUDGED),
            *(_none(name) for name in DECIDED),
        )
        .select_from(
            matches.join(one, one.c.id == matches.c.listing_id).join(
                other, other.c.id == matches.c.other_listing_id
            )
        )
        .where(needs_decision(one, other))
    )


def _decided(one: FromClause, other: FromClause) -> Select[Any]:
    """Select pairs with a decision that applies, except those that need a decision again."""
    c = corrections.c
    pair = [one.c.id, other.c.id]
    is_of_pair = and_(matches.c.listing_id.in_(pair), matches.c.other_listing_id.in_(pair))
    return (
        select(
            false().label("is_open"),
            c.decided_at.label("since"),
            one.c.id.label("listing_id"),
            other.c.id.label("other_listing_id"),
            *(matches.c[name] for name in JUDGED),
            *(c[name].label(f"decision_{name}") for name in DECIDED),
        )
        .ext(distinct_on(func.least(*pair), func.greatest(*pair)))
        .select_from(
            corrections.join(
                one, and_(one.c.source == c.source, one.c.external_id == c.external_id)
            )
            .join(
                other,
                and_(other.c.source == c.other_source, other.c.external_id == c.other_external_id),
            )
            .outerjoin(matches, is_of_pair)
        )
        .where(c.revoked_at.is_(None), ~func.coalesce(needs_decision(one, other), false()))
        .order_by(func.least(*pair), func.greatest(*pair), c.id.desc())
    )


def _none(name: str) -> ColumnElement[Any]:
    return cast(null(), corrections.c[name].type).label(f"decision_{name}")


def _follows(found: CTE, after: ReviewPlace) -> ColumnElement[bool]:
    pair = tuple_(found.c.listing_id, found.c.other_listing_id)
    follows = or_(
        found.c.since < after.since,
        and_(found.c.since == after.since, pair > tuple_(after.listing_id, after.other_listing_id)),
    )
    if after.is_open:
        return or_(~found.c.is_open, follows)
    return and_(~found.c.is_open, follows)


def _side(name: str, listing_id: ColumnElement[int]) -> FromClause:
    """Look up a listing of the page with its asset and its contracts."""
    own = (
        contracts.c.source == listings.c.source,
        contracts.c.external_id == listings.c.external_id,
    )
    label = contracts.c.chain + ":" + contracts.c.address
    return (
        select(
            *(listings.c[fact] for fact in FACTS),
            assets.c.slug.label("asset"),
            select(func.array_agg(aggregate_order_by(label, label)))
            .where(*own)
            .correlate(listings)
            .scalar_subquery()
            .label("contracts"),
        )
        .select_from(listings.join(assets, assets.c.id == listings.c.asset_id))
        .where(listings.c.id == listing_id)
        .lateral(name)
    )


def _nested(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Group the facts of each listing and the decision, and add the commands."""
    one, other = (
        {
            **{name: row[f"{side}.{name}"] for name in (*FACTS, "asset")},
            "contracts": row[f"{side}.contracts"] or [],
        }
        for side in ("one", "other")
    )
    decision = {name: row[f"decision_{name}"] for name in DECIDED}
    is_open = row["is_open"]
    return {
        "open": is_open,
        "since": row["since"],
        **{name: row[name] for name in JUDGED},
        "one": one,
        "other": other,
        "decision": None if is_open else decision,
        "commands": {
            **commands_of(one, other),
            "undo": None if is_open else undo_command(decision["id"]),
        },
    }
