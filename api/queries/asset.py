"""The question what is known of one asset."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Executable, Select, Text, TextClause, bindparam, select, text

from api.columns import ASSET_COLUMNS
from api.queries.past import (
    OF_ONE_ASSET,
    Moment,
    assets_of_listings_then,
    listings_then,
    with_moment,
)
from shared.records import VALUES
from shared.tables import assets, dataset, listings

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


READ = (*ASSET_COLUMNS, *(f"{value}_listing_id" for value in VALUES))
"""What is read of an asset as it was."""


def _statement() -> Select[Any]:
    chosen = assets.c.slug == bindparam("slug", type_=Text)
    joined = dataset.outerjoin(assets, chosen).outerjoin(
        listings, listings.c.asset_id == assets.c.id
    )
    return (
        select(
            dataset.c.version.label("version"),
            assets.c.id.is_not(None).label("exists"),
            *(assets.c[name].label(f"asset_{name}") for name in ASSET_COLUMNS),
            *(assets.c[f"{value}_listing_id"] for value in VALUES),
            listings.c.id,
            *(listings.c[name].label(f"listing_{name}") for name in LISTING_COLUMNS),
        )
        .select_from(joined)
        .order_by(listings.c.source, listings.c.external_id)
    )


PAST = """
WITH {listings}, a AS ({assets})
SELECT d.version AS version, e.id IS NOT NULL AS exists, {shown}
FROM dataset AS d LEFT JOIN assets AS e ON e.slug = :slug
LEFT JOIN a ON true LEFT JOIN listings_then AS l ON true
ORDER BY l.source, l.external_id
"""


def _past_statement() -> TextClause:
    """The same of a time before; the versions of the data are the present ones."""
    shown = [
        *(f"a.{name} AS asset_{name}" for name in ASSET_COLUMNS),
        *(f"a.{value}_listing_id" for value in VALUES),
        "l.id",
        *(f"l.{name} AS listing_{name}" for name in LISTING_COLUMNS),
    ]
    stmt = PAST.format(
        listings=listings_then(OF_ONE_ASSET),
        assets=assets_of_listings_then(READ),
        shown=", ".join(shown),
    )
    return with_moment(text(stmt))


ASSET_WITH_LISTINGS = _statement()

PAST_ASSET_WITH_LISTINGS = _past_statement()


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
    stmt: Executable = ASSET_WITH_LISTINGS
    if moment is not None:
        stmt, given = PAST_ASSET_WITH_LISTINGS, {**given, **moment.bind()}
    rows = conn.execute(stmt, given).mappings().all()
    first = rows[0]
    if first["asset_slug"] is None:
        return FoundAsset(None, first["version"], first["exists"])
    by_id = {
        row["id"]: {name: row[f"listing_{name}"] for name in LISTING_COLUMNS}
        for row in rows
        if row["id"] is not None
    }
    asset = {
        **{name: first[f"asset_{name}"] for name in ASSET_COLUMNS},
        "provenance": {value: by_id.get(first[f"{value}_listing_id"]) for value in VALUES},
        "listings": list(by_id.values()),
    }
    return FoundAsset(asset, first["version"], exists=True)
