"""The question what is known of one asset."""

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
from shared.model.unified import ZERO_IS_KNOWN, voices_of

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
"""What is read of an asset, as it is or as it was."""

# An observation says when its raw record came in; its listing does not. Each is looked up by its
# key: of a join Postgres may think that reading all observations is cheaper.
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

# Under which symbols and names a listing was told of, the oldest first.
NAMES = """(
  SELECT json_agg(json_build_object('symbol', k.symbol, 'name', k.name,
                                    'first_observed_at', k.first_observed_at)
                  ORDER BY k.first_observed_at, k.symbol, k.name)
  FROM listing_names AS k WHERE k.listing_id = l.id {until}
)"""

# Contracts have no history: they are those that are known now.
CONTRACTS = """(
  SELECT array_agg(c.chain || ':' || c.address ORDER BY c.chain, c.address)
  FROM contracts AS c WHERE c.source = l.source AND c.external_id = l.external_id
)"""

# An amount is text on its way through JSON.
SHOWN = """
WITH {listings}, a AS ({assets})
SELECT d.version AS version, e.id IS NOT NULL AS exists, {shown},
  (SELECT json_agg(json_build_object('value', v.value, 'id', v.id, 'amount', v.amount::text,
     'is_outlier', v.is_outlier, 'by_median', v.by_median,
     'spread_percent', v.spread_percent::text,
     'divergent', v.divergent) ORDER BY v.source) FROM ({voices}) AS v) AS voices
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
        voices=voices_of(f"{among} AS l"),
        among=among,
    )
    return text(stmt)


# It takes Postgres longer to plan than to run.
ASSET_WITH_LISTINGS = Statement(
    _written(
        LISTINGS_NOW,
        "listings_now",
        f"SELECT {', '.join(READ)} FROM assets WHERE slug = :slug",  # noqa: S608  nothing from outside
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
"""The same of a time before; the versions of the data are the present ones."""


class Voice(msgspec.Struct, frozen=True):
    """What a fresh listing says of one value, and how it stands beside the others."""

    value: str
    id: int
    """The listing's."""
    amount: Decimal
    is_outlier: bool
    by_median: bool
    """Whether the value is the median of its voices, and not the most trusted of them."""
    spread_percent: Decimal | None
    divergent: bool


class Name(TypedDict):
    """What a listing is or was called."""

    symbol: str
    name: str
    first_observed_at: datetime


VOICES = msgspec.json.Decoder(list[Voice])
LISTING_NAMES = msgspec.json.Decoder(list[Name])


@dataclass(frozen=True, slots=True)
class FoundAsset:
    """All that is known of an asset, None where there is none; and the version of the data."""

    asset: Mapping[str, Any] | None
    version: int
    exists: bool
    """Whether there is one now, though there was none at the time that was asked for."""


def find_asset(conn: Connection, slug: str, moment: Moment | None = None) -> FoundAsset:
    """Find an asset with its listings, and for each value the listing that it comes from.

    As they were at a moment, where there is one.
    """
    # Postgres does not take U+0000 in text, and no slug has a line break.
    given: dict[str, Any] = {"slug": slug.replace("\x00", "\n")}
    stmt = ASSET_WITH_LISTINGS
    if moment is not None:
        stmt, given = PAST_ASSET_WITH_LISTINGS, {**given, **moment.bind()}
    rows = stmt.run(conn, given).mappings().all()
    first = rows[0]
    if first["asset_slug"] is None:
        return FoundAsset(None, first["version"], first["exists"])
    by_id = {
        row["id"]: {
            **{name: row[f"listing_{name}"] for name in LISTING_COLUMNS},
            "names": LISTING_NAMES.decode(row["names"]) if row["names"] else [],
            "contracts": row["contracts"] or [],
            "active": row["listing_delisted_at"] is None,
        }
        for row in rows
        if row["id"] is not None
    }
    newest_at = first["asset_observed_at"]
    voices = VOICES.decode(first["voices"]) if first["voices"] is not None else []
    origins = {value: by_id.get(first[f"{value}_listing_id"]) for value in VALUES}
    asset = {
        **{name: first[f"asset_{name}"] for name in ASSET_COLUMNS},
        "values": {
            value: _with_distance(
                _judge(
                    first[f"asset_{value}"], origin, by_id, [v for v in voices if v.value == value]
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


def _judge(
    amount: Decimal,
    origin: Mapping[str, Any],
    by_id: Mapping[int, Mapping[str, Any]],
    voices: Sequence[Voice],
) -> Mapping[str, Any]:
    """Say of a value where it comes from, how many said something else, and why it is this one."""
    by_trust = "most_trusted" if len(voices) > 1 else "only"
    return {
        **origin,
        "value": amount,
        "current": True,
        "chosen_as": "median" if any(voice.by_median for voice in voices) else by_trust,
        "fresh_sources": len(voices),
        "spread_percent": voices[0].spread_percent if voices else None,
        "divergent": any(voice.divergent for voice in voices),
        "outliers": [
            {**by_id[voice.id], "value": voice.amount} for voice in voices if voice.is_outlier
        ],
    }


def _last_known(value: str, listings: Collection[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Give the newest that a listing says of a value of which nothing is current."""
    knowing = [
        each
        for each in listings
        if each[value] is not None and (each[value] or value in ZERO_IS_KNOWN)
    ]
    if not knowing:
        return None
    origin = max(knowing, key=lambda each: (each["observed_at"], -TRUST.index(each["source"])))
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


def _with_distance(
    said: Mapping[str, Any] | None, newest_at: datetime | None
) -> Mapping[str, Any] | None:
    """Add how much older a value is than what was last observed of its asset."""
    if said is None or newest_at is None:
        return said
    behind = max(newest_at - said["observed_at"], timedelta(0))
    return {**said, "behind_seconds": Decimal(behind // timedelta(microseconds=1)) / 10**6}
