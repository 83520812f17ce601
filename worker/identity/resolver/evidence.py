"""What identity knows of listings, and what it makes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

Ref = tuple[str, str]
"""A listing as the world knows it: source and external id."""


def side_of(ref: Ref) -> str:
    """Say who names each of its assets once: the source, of CSV files each declared namespace."""
    source, external_id = ref
    if source == "csv" and ":" in external_id:
        return f"csv:{external_id.partition(':')[0]}"
    return source


Method = Literal[
    "correction",
    "crosswalk",
    "contract",
    "symbol_and_name",
    "symbol_and_slug",
    "symbol_and_tokens",
    "name_and_slug",
    "former_name",
]
Accord = Literal["agree", "differ", "unknown"]
Prices = Literal[Accord, "disputed"]


@dataclass(frozen=True, slots=True)
class Name:
    """A symbol and name that a listing was told under, and since when by its source's clock."""

    symbol: str
    name: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Candidate:
    """A listing as identity sees it: its newest names and values, and its contracts."""

    listing_id: int
    source: str
    external_id: str
    symbol: str
    name: str
    observed_at: datetime
    price_usd: Decimal | None = None
    market_cap_usd: Decimal | None = None
    circulating_supply: Decimal | None = None
    total_supply: Decimal | None = None
    max_supply: Decimal | None = None
    contracts: frozenset[tuple[str, str]] = frozenset()
    """(chain, address), in the form in which they are compared."""
    names: frozenset[Name] = frozenset()
    """All that it was ever called, what it is called now among them."""
    is_pending: bool = False
    """Its id came in place of another one with most ids of its source: only a ruling links it."""

    is_delisted: bool = False
    """Its source lists it no more: it is no namesake of those that are listed."""

    @property
    def ref(self) -> Ref:
        return self.source, self.external_id

    @property
    def side(self) -> str:
        return side_of(self.ref)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a person, or a crosswalk file, says of two listings."""

    one: Ref
    other: Ref
    same: bool
    origin: Literal["correction", "crosswalk"]


@dataclass(frozen=True, slots=True)
class Match:
    """What is thought of two listings, the lesser `Ref` first; a row of `matches`."""

    listing_id: int
    other_listing_id: int
    method: Method
    score: Decimal
    """How sure it is that they are one asset, from 0 to 1, three decimals."""
    verdict: Literal["linked", "review"]
    prices: Prices
    evidence: Mapping[str, Any]
    """JSON: what agrees and what does not, and of a review `why` it is no link. No live values."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Which listings are one asset, and why; every listing lies in just one cluster."""

    clusters: Sequence[frozenset[int]]
    matches: Sequence[Match]
