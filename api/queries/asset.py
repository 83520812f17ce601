"""The question what is known of one asset."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, Text, bindparam, select

from api.columns import ASSET_COLUMNS
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


def _statement() -> Select[Any]:
    chosen = assets.c.slug == bindparam("slug", type_=Text)
    joined = dataset.outerjoin(assets, chosen).outerjoin(
        listings, listings.c.asset_id == assets.c.id
    )
    return (
        select(
            dataset.c.version.label("version"),
            *(assets.c[name].label(f"asset_{name}") for name in ASSET_COLUMNS),
            *(assets.c[f"{value}_listing_id"] for value in VALUES),
            listings.c.id,
            *(listings.c[name].label(f"listing_{name}") for name in LISTING_COLUMNS),
        )
        .select_from(joined)
        .order_by(listings.c.source, listings.c.external_id)
    )


ASSET_WITH_LISTINGS = _statement()


@dataclass(frozen=True, slots=True)
class FoundAsset:
    """All that is known of an asset, None where there is none; and the version of the data."""

    asset: Mapping[str, Any] | None
    version: int


def find_asset(conn: Connection, slug: str) -> FoundAsset:
    """Find an asset with its listings, and for each value the listing that it comes from."""
    # Postgres does not take U+0000 in text, and no slug has a line break.
    rows = conn.execute(ASSET_WITH_LISTINGS, {"slug": slug.replace("\x00", "\n")}).mappings().all()
    first = rows[0]
    if first["asset_slug"] is None:
        return FoundAsset(None, first["version"])
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
    return FoundAsset(asset, first["version"])
