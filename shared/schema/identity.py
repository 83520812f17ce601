"""Which listings are one asset: evidence, decisions and their history."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    FromClause,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Table,
    Text,
    and_,
    func,
    or_,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.model.reviews import DIFFER_BEYOND, NEAR
from shared.schema.base import Key, metadata, time_column

identity_events = Table(
    "identity_events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    time_column("at", now=True),
    Column("run_id", Integer),
    Column("listing_id", Integer, nullable=False),
    Column("from_asset_id", Integer),
    Column("to_asset_id", Integer, nullable=False),
    Column("method", Text, nullable=False),
    Column("evidence", JSONB, nullable=False),
    Column("decided_by", Text),
    Column("reason", Text),
    Index(None, "listing_id"),
)

listing_names = Table(
    "listing_names",
    metadata,
    Column("listing_id", Integer, primary_key=True, autoincrement=False),
    Column("symbol", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("symbol_key", Key, nullable=False),
    time_column("first_observed_at"),
    Index(None, "symbol_key"),
)
"""What a listing was ever called, and since when by its source's clock."""

contract_claims = Table(
    "contract_claims",
    metadata,
    Column("source", Key, primary_key=True),
    Column("external_id", Key, primary_key=True),
    time_column("observed_at"),
    Column("payload_hash", LargeBinary, nullable=False),
    Column("coin", Key, nullable=False),
    Column("contracts", JSONB, nullable=False),
)
"""What each record of the sources in `RAW_LISTS` said last, and when it was last seen.

`coin` is the external id of the provider's listing, `contracts` its [chain, address] pairs. The raw
record of that hash may be older: one that says the same is not stored again.
"""

contracts = Table(
    "contracts",
    metadata,
    Column("source", Key, primary_key=True),
    Column("external_id", Key, primary_key=True),
    Column("chain", Key, primary_key=True),
    Column("address", Key, primary_key=True),
    Index(None, "chain", "address"),
)
"""The contracts that a source gives for a listing of its own, which need not be there yet.

`source` is the listing's (`coingecko`, not `coingecko_coins`); chains and addresses are normalised.
"""

crosswalk = Table(
    "crosswalk",
    metadata,
    Column("source", Key, primary_key=True),
    Column("external_id", Key, primary_key=True),
    Column("asset", Key, nullable=False, index=True),
)
"""What the files in `data/identity` say: listings of one `asset` are one, of two are two."""

corrections = Table(
    "corrections",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("source", Key, nullable=False),
    Column("external_id", Key, nullable=False),
    Column("other_source", Key, nullable=False),
    Column("other_external_id", Key, nullable=False),
    Column("same", Boolean, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    time_column("decided_at", now=True),
    time_column("revoked_at", nullable=True),
    Index(None, "source", "external_id"),
    Index(None, "other_source", "other_external_id"),
)
"""What a person decided: that two listings are one asset, or are not. Kept through a reprocess."""

matches = Table(
    "matches",
    metadata,
    Column("listing_id", Integer, primary_key=True, autoincrement=False),
    Column("other_listing_id", Integer, primary_key=True, autoincrement=False),
    Column("method", Text, nullable=False),
    Column("score", Numeric(4, 3), nullable=False),
    Column("verdict", Text, nullable=False),
    Column("prices", Text, nullable=False),
    Column("evidence", JSONB, nullable=False),
    time_column("decided_at", now=True),
    CheckConstraint("verdict IN ('linked', 'review')", name="verdict_is_known"),
    CheckConstraint(
        "prices IN ('agree', 'differ', 'unknown', 'disputed')", name="prices_are_known"
    ),
    Index(None, "other_listing_id"),
)
"""Pairs of listings that may be one asset: linked, or for a person to review.

The first is the lesser by source and external id. `prices` says how their prices compare:
`disputed` where they differ now and that does not last yet.
"""


def needs_decision(one: FromClause, other: FromClause) -> ColumnElement[bool]:
    """Whether a person should decide on a row of `matches`, joined to both of its listings.

    A pair that is not linked is for review. A link is in doubt where it is disputed, and where the
    newest prices, of the same hour, differ; if they agreed earlier in that hour it need not be
    disputed yet.
    """
    price, other_price = one.c.price_usd, other.c.price_usd
    newer = func.greatest(one.c.observed_at, other.c.observed_at)
    older = func.least(one.c.observed_at, other.c.observed_at)
    return or_(
        matches.c.verdict == "review",
        matches.c.prices == "disputed",
        and_(
            func.least(price, other_price) > 0,
            func.greatest(price, other_price) > DIFFER_BEYOND * func.least(price, other_price),
            newer - older <= NEAR,
        ),
    )


compared_pairs = Table(
    "compared_pairs",
    metadata,
    Column("listing_id", Integer, primary_key=True, autoincrement=False),
    Column("other_listing_id", Integer, primary_key=True, autoincrement=False),
    time_column("compared_at", nullable=True),
    time_column("agreed_at", nullable=True),
    time_column("differs_since", nullable=True),
    time_column("lasting_since", nullable=True),
    Column("verdict", Text, nullable=False),
    Column("is_shared", Boolean, nullable=False),
    CheckConstraint("listing_id < other_listing_id", name="pair_is_ordered"),
    CheckConstraint(
        "verdict IN ('agree', 'unknown', 'disputed', 'broken', 'differ')", name="verdict_is_known"
    ),
    Index(None, "other_listing_id"),
    Index("ix_compared_pairs_broken", "verdict", postgresql_where=text("verdict = 'broken'")),
)
"""The pairs of listings that identity compared, and what their prices said over time.

What the columns mean, `worker/identity/pairs.sql` says.
"""

crowds = Table(
    "crowds",
    metadata,
    Column("symbol_key", Key, primary_key=True),
    Column("side", Key, primary_key=True),
)
"""Symbols with so many listings that no batch reads all of them, and the sides that have them."""

crowd_keys = Table(
    "crowd_keys",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("listing_id", Integer, primary_key=True, autoincrement=False),
)
"""Hashes of the keys of a crowd's listings, under their present and former names."""

SUCCESSORS = text("""
SELECT DISTINCT a.slug
FROM removed_assets AS r
JOIN identity_events AS e ON e.from_asset_id = r.asset_id
JOIN listings AS l ON l.id = e.listing_id
JOIN assets AS a ON a.id = l.asset_id
WHERE r.slug = :slug
ORDER BY a.slug LIMIT 10
""")
"""The assets that now have the listings of a removed asset, however often they were moved."""
