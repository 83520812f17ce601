"""The rule by which an asset's values follow from its listings', as SQL for whoever reads it.

A value is the median of three or more sources, else the most trusted one's: always a number that a
source sent, and no single source can move the median. Averages would be nobody's number, and with
the latest value two sources would take turns.
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
"""How much older than its asset's newest observation a source's value may be, and still be current.

An hour, or as long as the source's data may be old (`Expectations.fresh_for`), if that is longer.
"""

ZERO_IS_KNOWN = frozenset({"volume_24h_usd"})
"""Values that can truly be 0: on a day nothing was traded. 0 of any other is not known."""

OUTLIER_PERCENT: Mapping[str, int] = {
    "price_usd": 10,
    "market_cap_usd": 30,
    "volume_24h_usd": 90,
    "circulating_supply": 20,
    "total_supply": 20,
    "max_supply": 20,
}
"""How far from the median a value of three or more sources may lie, in percent of the median."""

DIVERGENT_PERCENT: Mapping[str, int] = {
    "price_usd": 5,
    "market_cap_usd": 20,
    "volume_24h_usd": 200,
    "circulating_supply": 10,
}
"""At which spread sources disagree. Total and maximum supply do not count: sources mean different
things by them."""

_OF_LISTING = (
    *("id", "source", "external_id", "symbol", "name", "observed_at", "delisted_at"),
    *VALUES,
)

_NAMED = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@lru_cache(maxsize=8)
def unified_of(among: str) -> str:
    """Write the query for a set of listings, named `l`: a table, or what stands in its place."""
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
        other_columns=", ".join(f"lead({name}) OVER ranked AS o_{name}" for name in _OF_LISTING),
        spreads=", ".join(map(_spread, DIVERGENT_PERCENT)),
        diverges=" OR ".join(
            f"({value}_spread > {percent}) IS TRUE" for value, percent in DIVERGENT_PERCENT.items()
        ),
        chosen_values=chosen_values,
        c_values=", ".join(f"c.{name}" for value in VALUES for name in unified_columns(value)),
    )


@lru_cache(maxsize=8)
def voices_of(among: str) -> str:
    """Write the query for every current value among which `unified_of` chooses.

    `id` is the listing that says it; `by_median` says that the asset's value is the median of those
    of it, and not the most trusted one.
    """
    return _read()["voices"].format(dated=_dated(among), judged=_judged("true"))


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


def _judged(heard: str) -> str:
    amounts = ", ".join(
        f"('{value}', d.{value}, {OUTLIER_PERCENT[value]}, {DIVERGENT_PERCENT.get(value, 'NULL')})"
        for value in VALUES
    )
    return _read()["judged"].format(heard=heard, amounts=amounts)


def _only(value: str) -> str:
    """Write an asset's columns for a value of its only listing."""
    _, listing_id, time = unified_columns(value)
    return (
        f"{value}, CASE WHEN {value} IS NOT NULL THEN id END AS {listing_id},"
        f" CASE WHEN {value} IS NOT NULL THEN observed_at END AS {time}"
    )


def _of_two(value: str) -> str:
    """Write an asset's columns for a value of its two listings."""
    is_others = f"{value} IS NULL"
    if value in ZERO_IS_KNOWN:
        is_others += f" OR two AND {value} = 0 AND o_{value} > 0"
    return ", ".join(
        f"CASE WHEN o_{value} IS NOT NULL AND ({is_others}) THEN o_{column}"
        f" WHEN {value} IS NOT NULL THEN {column} END"
        for column in (value, "id", "observed_at")
    )


def _spread(value: str) -> str:
    """Write the spread of a value, in percent, that both of two sources know."""
    one, other = value, f"o_{value}"
    return f"""CASE WHEN two AND {one} > 0 AND {other} > 0
         THEN round(abs({one} - {other}) * 100 / least({one}, {other}), 6) END AS {value}_spread"""


def current_for(source: str) -> str:
    """Write how long the values of a source stay current, as SQL; `source` is an expression."""
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
    """Name an asset's columns for a value: it, the listing that it is of, when it was observed."""
    return value, f"{value}_listing_id", value_time(value)


def _known(column: str) -> str:
    return column if column.rpartition(".")[2] in ZERO_IS_KNOWN else f"nullif({column}, 0)"
