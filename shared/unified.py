"""The rule by which an asset's values follow from its listings', as SQL for whoever reads it."""

from functools import lru_cache
from pathlib import Path

from shared.records import VALUES

_NAME = "-- name: unified\n"


@lru_cache(maxsize=8)
def unified_of(among: str) -> str:
    """Write the query for a set of listings, named `l`: a table, or what stands in its place."""
    order = "ORDER BY observed_at DESC, source, external_id"
    only_values = ", ".join(
        f"{value}, CASE WHEN {value} IS NOT NULL THEN id END AS {value}_listing_id"
        for value in VALUES
    )
    latest_values = ", ".join(
        f"(array_agg({column} {order}) FILTER (WHERE {value} IS NOT NULL))[1]"
        for value in VALUES
        for column in (value, "id")
    )
    _, _, body = (
        Path(__file__).with_name("unified.sql").read_text(encoding="utf-8").partition(_NAME)
    )
    return body.strip().format(only_values=only_values, latest_values=latest_values, among=among)
