"""One asset with its listings and the origin of each value."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypedDict

import msgspec
from sqlalchemy import Connection, TextClause, text

from api.queries.assets.columns import ASSET_COLUMNS
from api.queries.assets.past import (
    OF_ONE_ASSET,
    Moment,
    assets_of_listings_then,
    listings_then,
    with_moment,
)
from api.queries.statements import Statement
from shared.model.catalogue import TRUST
from shared.model.records import VALUES
from shared.model.unified import ZERO_IS_KNOWN, candidates_of

LISTING_COLUMNS = (
    "source",
    "external_id",
    "symbol",
    "name",
    *VALUES,
    "observed_at",
    "payload_hash",
    "run_id",
    "ingested_at",
    "match_method",
    "match_score",
    "match_evidence",
    "delisted_at",
)


READ = (*ASSET_COLUMNS, *(f"{value}_listing_id" for value in VALUES))
"""The columns that are read of an asset, present or past."""

# Only the observation has the load time of the raw record. The lateral subquery looks up each
# observation by its key; for a plain join, Postgres may choose to read all observations.
LISTINGS_NOW = """
listings_now AS MATERIALIZED (
  SELECT l.*, o.ingested_at
  FROM listings AS l LEFT JOIN LATERAL (
    SELECT o.ingested_at FROM observations AS o
    WHERE o.listing_id = l.id AND o.observed_at = l.observed_at
      AND o.payload_hash = l.payload_hash
    LIMIT 1
  ) AS o ON true
  WHERE l.asset_id = (SELECT id FROM assets WHERE slug = :slug)
)
"""

# The symbols and names that a listing has had, oldest first.
NAMES = """(
  SELECT json_agg(json_build_object('symbol', k.symbol, 'name', k.name,
                                    'first_observed_at', k.first_observed_at)
                  ORDER BY k.first_observed_at, k.symbol, k.name)
  FROM listing_names AS k WHERE k.listing_id = l.id {until}
)"""

# Contracts have no history: these are the present ones.
CONTRACTS = """(
  SELECT array_agg(c.chain || ':' || c.address ORDER BY c.chain, c.address)
  FROM contracts AS c WHERE c.source = l.source AND c.external_id = l.external_id
)"""

# Amounts pass through JSON as text, so that they keep every digit.
SHOWN = """
WITH {listings}, a AS ({assets})
SELECT d.version AS version, e.id IS NOT NULL AS exists, {shown},
  (SELECT json_agg(json_build_object('value', v.value, 'id', v.id, 'amount', v.amount::text,
     'is_outlier', v.is_outlier, 'by_median', v.by_median,
     'spread_percent', v.spread_percent::text,
     'divergent', v.divergent) ORDER BY v.source) FROM ({candidates}) AS v) AS candidates
FROM dataset AS d LEFT JOIN assets AS e ON e.slug = :slug
LEFT JOIN a ON true LEFT JOIN {among} AS l ON true
ORDER BY l.source, l.external_id
"""


def _written(listings: str, among: str, assets: str, until: str = "") -> TextClause:
    shown = [
        *(f"a.{name} AS asset_{name}" for name in ASSET_COLUMNS),
        *(f"a.{value}_listing_id" for value in VALUES),
        "l.id",
        *(f"l.{name} AS listing_{name}" for name in LISTING_COLUMNS),
        f"{NAMES.format(until=until)} AS names",
        f"{CONTRACTS} AS contracts",
    ]
    stmt = SHOWN.format(
        listings=listings,
        assets=assets,
        shown=", ".join(shown),
        candidates=candidates_of(f"{among} AS l"),
        among=among,
    )
    return text(stmt)


# Prepared, because planning takes longer than executing.
ASSET_WITH_LISTINGS = Statement(
    _written(
        LISTINGS_NOW,
        "listings_now",
        f"SELECT {', '.join(READ)} FROM assets WHERE slug = :slug",  # noqa: S608  no external input
    ),
    prepared=True,
)

PAST_ASSET_WITH_LISTINGS = Statement(
    with_moment(
        _written(
            listings_then(OF_ONE_ASSET),
            "listings_then",
            assets_of_listings_then(READ),
            until="AND k.first_observed_at <= :as_of",
        )
    )
)
"""The same as of a past time. The version of the data is still the present one."""


class Candidate(msgspec.Struct, frozen=True):
    """The amount that a fresh listing reports for one value, and its comparison with the others."""

    value: str
    id: int
    """The id of the listing."""
    amount: Decimal
    is_outlier: bool
    by_median: bool
    """Whether the value is the median of its candidates; otherwise it is the most trusted one."""
    spread_percent: Decimal | None
    divergent: bool


class Name(TypedDict):
    """A present or former name of a listing."""

    symbol: str
    name: str
    first_observed_at: datetime


CANDIDATES = msgspec.json.Decoder(list[Candidate])
LISTING_NAMES = msgspec.json.Decoder(list[Name])


@dataclass(frozen=True, slots=True)
class FoundAsset:
    """An asset with all details, or None; and the version of the data."""

    asset: Mapping[str, Any] | None
    version: int
    exists: bool
    """Whether the asset exists now, even if it did not exist at the requested time."""


def find_asset(conn: Connection, slug: str, moment: Moment | None = None) -> FoundAsset:
    """Find an asset with its listings and the origin of each value, now or as of a moment."""
    # Postgres refuses U+0000 in text. No slug has a line break, so nothing is found.
    parameters: dict[str, Any] = {"slug": slug.replace("\x00", "\n")}
    stmt = ASSET_WITH_LISTINGS
    if moment is not None:
        stmt, parameters = PAST_ASSET_WITH_LISTINGS, {**parameters, **moment.bind()}
    rows = stmt.run(conn, parameters).mappings().all()
    first = rows[0]
    if first["asset_slug"] is None:
        return FoundAsset(None, first["version"], first["exists"])
    by_id = {
        row["id"]: {
            "id": row["id"],
            **{name: row[f"listing_{name}"] for name in LISTING_COLUMNS},
            "names": LISTING_NAMES.decode(row["names"]) if row["names"] else [],
            "contracts": row["contracts"] or [],
            "active": row["listing_delisted_at"] is None,
        }
        for row in rows
        if row["id"] is not None
    }
    newest_at = first["asset_observed_at"]
    candidates = CANDIDATES.decode(first["candidates"]) if first["candidates"] is not None else []
    origins = {value: by_id.get(first[f"{value}_listing_id"]) for value in VALUES}
    asset = {
        **{name: first[f"asset_{name}"] for name in ASSET_COLUMNS},
        "values": {
            value: _with_age(
                _explain(
                    first[f"asset_{value}"],
                    origin,
                    by_id,
                    [each for each in candidates if each.value == value],
                )
                if origin
                else _last_known(value, by_id.values()),
                newest_at,
            )
            for value, origin in origins.items()
        },
        "provenance": origins,
        "listings": list(by_id.values()),
    }
    return FoundAsset(asset, first["version"], exists=True)


def _explain(
    amount: Decimal,
    origin: Mapping[str, Any],
    by_id: Mapping[int, Mapping[str, Any]],
    candidates: Sequence[Candidate],
) -> Mapping[str, Any]:
    """Describe the origin of a current value, and why it was chosen of the candidates."""
    by_trust = "most_trusted" if len(candidates) > 1 else "only"
    return {
        **origin,
        "value": amount,
        "current": True,
        "chosen_as": "median" if any(each.by_median for each in candidates) else by_trust,
        "fresh_sources": len(candidates),
        "spread_percent": candidates[0].spread_percent if candidates else None,
        "divergent": any(each.divergent for each in candidates),
        "outliers": [
            {**by_id[each.id], "value": each.amount} for each in candidates if each.is_outlier
        ],
    }


def _last_known(value: str, listings: Collection[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Describe the newest known value of the listings, if no value is current."""
    reporting = [
        each
        for each in listings
        if each[value] is not None and (each[value] or value in ZERO_IS_KNOWN)
    ]
    if not reporting:
        return None
    origin = max(reporting, key=lambda each: (each["observed_at"], -TRUST.index(each["source"])))
    return {
        **origin,
        "value": origin[value],
        "current": False,
        "chosen_as": "last_known",
        "fresh_sources": 0,
        "spread_percent": None,
        "divergent": False,
        "outliers": [],
    }


def _with_age(
    value: Mapping[str, Any] | None, newest_at: datetime | None
) -> Mapping[str, Any] | None:
    """Add the age of a value relative to the asset's newest observation."""
    if value is None or newest_at is None:
        return value
    behind = max(newest_at - value["observed_at"], timedelta(0))
    return {**value, "behind_seconds": Decimal(behind // timedelta(microseconds=1)) / 10**6}
