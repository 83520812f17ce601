"""Which column of a CSV file says what: the names real exports use, and what is declared.

A header that names dollars (`price_usd`) is known to hold them. One that does not (`Close`,
`Marketcap`, `total_volume`) holds a known figure in a currency that must be declared. A bare
`Volume` may be in the coin's own unit, and is asked about. Any other header is left alone.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from shared.records import VALUES

FIELDS = ("id", "symbol", "name", "observed_at", *VALUES)
"""What a column can be declared to hold."""

IN_DOLLARS = {
    "price_usd": {"priceusd", "usdprice", "currentpriceusd", "closeusd", "lastpriceusd"},
    "market_cap_usd": {"marketcapusd", "marketcapitalizationusd"},
    "volume_24h_usd": {"volume24husd", "24hvolumeusd", "totalvolumeusd"},
}
IN_SOME_CURRENCY = {
    "price_usd": {"price", "currentprice", "close", "closeprice", "closingprice", "lastprice"},
    "market_cap_usd": {"marketcap", "marketcapitalization"},
    "volume_24h_usd": {"volume24h", "24hvolume", "totalvolume"},
}
WITHOUT_CURRENCY = {
    "id": {"id", "slug", "coinid", "assetid", "externalid"},
    "symbol": {"symbol", "ticker", "coinsymbol"},
    "name": {"name", "coinname", "assetname"},
    "observed_at": {
        *("observedat", "lastupdated", "lastupdatedat", "updatedat", "snappedat"),
        *("timestamp", "unixtimestamp", "unix", "datetime", "date", "time"),
    },
    "circulating_supply": {"circulatingsupply", "availablesupply"},
    "total_supply": {"totalsupply"},
    "max_supply": {"maxsupply", "maximumsupply"},
}
VOLUMES = {"volume", "volumeusd"}
"""Headers that may be the volume of 24 hours in dollars, or something else."""

_PUNCTUATION = re.compile(r"[\s_\-./*#()\[\]$:,]+")


@dataclass(frozen=True, slots=True)
class Question:
    """What only a declaration can say: the line to write, and why it is asked for.

    `value` is what it most likely is, or empty where nobody but the file's owner can tell.
    """

    table: Literal["columns", "values"] | None
    key: str
    value: str
    why: str


@dataclass(frozen=True, slots=True)
class Columns:
    """The header under which each field stands, and what is left to declare."""

    headers: Mapping[str, str]
    questions: Sequence[Question]


def plain(header: str) -> str:
    """Reduce a header to its letters and digits: `Market Cap ($)` and `marketCap` are one name."""
    return _PUNCTUATION.sub("", header).lower()


def is_known(header: str) -> bool:
    """Tell whether a header is one that exports use."""
    name = plain(header)
    tables = (IN_DOLLARS, IN_SOME_CURRENCY, WITHOUT_CURRENCY)
    return name in VOLUMES or any(name in names for table in tables for names in table.values())


def find_columns(headers: Sequence[str], declared: Mapping[str, Any]) -> Columns:
    """Match headers to fields: as declared, else by name; ask where neither settles it."""
    named: dict[str, str] = dict(declared.get("columns", {}))
    constants = declared.get("values", {})
    taken = {*named.values(), *declared.get("ignore", ())}
    free = [header for header in headers if header not in taken]
    found: dict[str, str] = {}
    questions: list[Question] = []
    for field in FIELDS:
        if field in constants:
            continue
        if field in named:
            if named[field] in headers:
                found[field] = named[field]
            else:
                why = f"there is no column {named[field]!r}, but {_listed(headers)}"
                questions.append(Question("columns", field, "", why))
            continue
        candidates = _candidates(field, free)
        if len(candidates) == 1:
            found[field] = candidates[0]
        elif candidates:
            why = f"which one of {_listed(candidates)}"
            questions.append(Question("columns", field, candidates[0], why))
    asked = {question.key for question in questions}
    questions += _absences(found, constants, asked, headers)
    questions += _units(found, named, free, declared)
    return Columns(found, questions)


def _candidates(field: str, headers: Sequence[str]) -> list[str]:
    """Find the headers that may hold the field: those that name dollars, else the others."""
    for table in (IN_DOLLARS, IN_SOME_CURRENCY, WITHOUT_CURRENCY):
        if candidates := [header for header in headers if plain(header) in table.get(field, ())]:
            return candidates
    return []


def _absences(
    found: Mapping[str, str],
    constants: Mapping[str, str],
    asked: set[str],
    headers: Sequence[str],
) -> list[Question]:
    told = {*found, *constants, *asked}
    questions = []
    if told.isdisjoint(VALUES):
        why = f"no column is known to be a price or another value; there are {_listed(headers)}"
        questions.append(Question("columns", "price_usd", "", why))
    examples = {
        "symbol": 'such as "BTC"; or under [columns] the column that has it',
        "name": 'such as "Bitcoin"; or under [columns] the column that has it',
        "observed_at": 'such as "2024-05-01T00:00:00Z"; or under [columns] the column that has it',
    }
    questions += [
        Question("values", field, "", f"no column is known to say it; {example}")
        for field, example in examples.items()
        if field not in told
    ]
    return questions


def _units(
    found: Mapping[str, str],
    named: Mapping[str, str],
    free: Sequence[str],
    declared: Mapping[str, Any],
) -> list[Question]:
    """Ask for what a header leaves open: the currency, and what a bare `Volume` is."""
    questions = []
    unclear = [
        found[field]
        for field, names in IN_SOME_CURRENCY.items()
        if field in found and field not in named and plain(found[field]) in names
    ]
    if unclear and "currency" not in declared:
        verb = "does" if len(unclear) == 1 else "do"
        why = f"if that is what it is: {_listed(unclear)} {verb} not say, and no other is read"
        questions.append(Question(None, "currency", "USD", why))
    volumes = [header for header in free if plain(header) in VOLUMES]
    if volumes and "volume_24h_usd" not in found:
        ignore = f"ignore = {json.dumps(volumes, ensure_ascii=False)}"
        why = f"if it is the volume of 24 hours in US dollars; else {ignore}"
        questions.append(Question("columns", "volume_24h_usd", volumes[0], why))
    return questions


def _listed(headers: Sequence[str]) -> str:
    return ", ".join(map(repr, headers))
