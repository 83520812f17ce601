"""The rule of unified values as SQL: how an asset's values follow from its listings.

A value is the median of three or more sources, or the value of the most trusted of one or two. So
it is always a reported value, and no single source can move the median. An average is a value that
no source reported; with the newest value, two sources would alternate.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from pathlib import Path

from shared.model.catalogue import EXPECTATIONS, TRUST
from shared.model.records import VALUES, value_time

CURRENT_FOR: Mapping[str, timedelta] = {
    source: max(timedelta(hours=1), EXPECTATIONS[source].fresh_for or timedelta(0))
    for source in TRUST
}
"""How much older than its asset's newest observation a current value of a source may be.

An hour, or the maximum age of the source's data (`Expectations.fresh_for`) if that is longer.
"""

ZERO_IS_KNOWN = frozenset({"volume_24h_usd"})
"""Values that can be 0, because an asset may not be traded for a day. Others are unknown if 0."""

OUTLIER_PERCENT: Mapping[str, int] = {
    "price_usd": 10,
    "market_cap_usd": 30,
    "volume_24h_usd": 90,
    "circulating_supply": 20,
    "total_supply": 20,
    "max_supply": 20,
}
"""Maximum distance of a value from the median of three or more, in percent of the median."""

DIVERGENT_PERCENT: Mapping[str, int] = {
    "price_usd": 5,
    "market_cap_usd": 20,
    "volume_24h_usd": 200,
    "circulating_supply": 10,
}
"""The spread in percent above which sources disagree. Total and maximum supply are not compared,
because sources define them differently."""

_OF_LISTING = (
    *("id", "source", "external_id", "symbol", "name", "observed_at", "delisted_at"),
    *VALUES,
)

_NAMED = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@lru_cache(maxsize=8)
def unified_of(among: str) -> str:
    """Write the query for the listings in `among`: a table or a FROM clause, with the alias `l`."""
    chosen_values = ", ".join(
        f"(array_agg({column}) FILTER (WHERE value = '{value}'))[1] AS {name}"
        for value in VALUES
        for column, name in zip(
            ("amount", "id", "observed_at"), unified_columns(value), strict=True
        )
    )
    return _read()["unified"].format(
        dated=_dated(among),
        judged=_judged("d.size > 2"),
        only_values=", ".join(map(_only, VALUES)),
        paired_values=", ".join(map(_of_two, VALUES)),
        other_columns=", ".join(
            f"lead({name}) OVER ranked AS other_{name}" for name in _OF_LISTING
        ),
        spreads=", ".join(map(_spread, DIVERGENT_PERCENT)),
        diverges=" OR ".join(
            f"({value}_spread > {percent}) IS TRUE" for value, percent in DIVERGENT_PERCENT.items()
        ),
        chosen_values=chosen_values,
        c_values=", ".join(f"c.{name}" for value in VALUES for name in unified_columns(value)),
    )


@lru_cache(maxsize=8)
def candidates_of(among: str) -> str:
    """Write the query for all current values among which `unified_of` chooses.

    `id` is the id of the listing. `by_median` is true if the asset's value is the median of these
    values, and false if it is the most trusted one.
    """
    return _read()["candidates"].format(dated=_dated(among), judged=_judged("true"))


def _dated(among: str) -> str:
    return _read()["dated"].format(
        among=among,
        l_values=", ".join(f"l.{value}" for value in VALUES),
        current_values=", ".join(
            f"CASE WHEN is_current THEN {_known(value)} END AS {value}" for value in VALUES
        ),
        trust="ARRAY[" + ", ".join(f"'{source}'" for source in TRUST) + "]",
        sources_trusted=len(TRUST),
        current_for=current_for("source"),
    )


def _judged(of_assets: str) -> str:
    amounts = ", ".join(
        f"('{value}', d.{value}, {OUTLIER_PERCENT[value]}, {DIVERGENT_PERCENT.get(value, 'NULL')})"
        for value in VALUES
    )
    return _read()["judged"].format(of_assets=of_assets, amounts=amounts)


def _only(value: str) -> str:
    """Write the columns of a value for an asset with one listing."""
    _, listing_id, time = unified_columns(value)
    return (
        f"{value}, CASE WHEN {value} IS NOT NULL THEN id END AS {listing_id},"
        f" CASE WHEN {value} IS NOT NULL THEN observed_at END AS {time}"
    )


def _of_two(value: str) -> str:
    """Write the columns of a value for an asset with two listings."""
    is_others = f"{value} IS NULL"
    if value in ZERO_IS_KNOWN:
        is_others += f" OR two_sources AND {value} = 0 AND other_{value} > 0"
    return ", ".join(
        f"CASE WHEN other_{value} IS NOT NULL AND ({is_others}) THEN other_{column}"
        f" WHEN {value} IS NOT NULL THEN {column} END"
        for column in (value, "id", "observed_at")
    )


def _spread(value: str) -> str:
    """Write the spread of a value in percent; null unless both of two sources report it."""
    one, other = value, f"other_{value}"
    return f"""CASE WHEN two_sources AND {one} > 0 AND {other} > 0
         THEN round(abs({one} - {other}) * 100 / least({one}, {other}), 6) END AS {value}_spread"""


def current_for(source: str) -> str:
    """Write `CURRENT_FOR` as an interval in SQL; `source` is an expression."""
    cases = " ".join(
        f"WHEN '{each}' THEN interval '{limit.total_seconds():.0f} seconds'"
        for each, limit in CURRENT_FOR.items()
    )
    return f"CASE {source} {cases} ELSE interval '1 hour' END"


@lru_cache(maxsize=1)
def _read() -> Mapping[str, str]:
    text = Path(__file__).with_name("unified.sql").read_text(encoding="utf-8")
    _, *named = _NAMED.split(text)
    return {name: body.strip() for name, body in zip(named[::2], named[1::2], strict=True)}


def unified_columns(value: str) -> tuple[str, str, str]:
    """Return an asset's columns of a value: the amount, the id of its listing, its time."""
    return value, f"{value}_listing_id", value_time(value)


def _known(column: str) -> str:
    return column if column.rpartition(".")[2] in ZERO_IS_KNOWN else f"nullif({column}, 0)"
