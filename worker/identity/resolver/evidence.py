"""The input and the output of the resolver."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

Ref = tuple[str, str]
"""The source and the external id of a listing."""


def side_of(ref: Ref) -> str:
    """Return the side of a listing, which has each asset once: its source, or its CSV namespace."""
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
    """A symbol and name of a listing, and since when by its source's clock."""

    symbol: str
    name: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Candidate:
    """A listing with the evidence on it: labels, newest values and contracts."""

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
    """All present and former symbols and names."""
    is_pending: bool = False
    """Its id replaced another one, like most ids of its source; only a ruling can link it."""
    is_delisted: bool = False
    """Its source does not list it any more; it is not a namesake of listed ones."""

    @property
    def ref(self) -> Ref:
        return self.source, self.external_id

    @property
    def side(self) -> str:
        return side_of(self.ref)


@dataclass(frozen=True, slots=True)
class Ruling:
    """A decision on two listings, by a person or a crosswalk file."""

    one: Ref
    other: Ref
    same: bool
    origin: Literal["correction", "crosswalk"]


@dataclass(frozen=True, slots=True)
class Match:
    """The decision on two listings, the lesser `Ref` first; a row of `matches`."""

    listing_id: int
    other_listing_id: int
    method: Method
    score: Decimal
    """The probability that they are one asset, from 0 to 1, three decimals."""
    verdict: Literal["linked", "review"]
    prices: Prices
    evidence: Mapping[str, Any]
    """JSON: the result of each comparison, and `why` a review is not a link."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """The clusters of listings that are one asset, each listing in one of them, and the matches."""

    clusters: Sequence[frozenset[int]]
    matches: Sequence[Match]
