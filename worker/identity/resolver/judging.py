"""The probability that two listings are one asset, from the evidence on these two alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from shared.model.slugs import slugify
from worker.identity.resolver.corroboration import Standing, compare_market_caps, compare_supplies
from worker.identity.resolver.evidence import Match, Method
from worker.identity.resolver.labels.names import comparable_name
from worker.identity.resolver.listing import (
    Listing,
    contract_relation,
    name_relation,
    symbol_relation,
)

FORMER_NAME = "same former name"

DOUBTS: Mapping[str, Decimal] = MappingProxyType(
    {
        "correction": Decimal(0),
        "crosswalk": Decimal("0.005"),
        "contract": Decimal("0.010"),
        "same name": Decimal("0.100"),
        "same but for common words": Decimal("0.120"),
        "same slug": Decimal("0.150"),
        "one adds a common addition": Decimal("0.200"),
        FORMER_NAME: Decimal("0.250"),
        "words in common": Decimal("0.400"),
        "same name and slug": Decimal("0.500"),
    }
)
"""The probability that a link on this ground is wrong, before other evidence; strongest first."""
RANKS = {kind: rank for rank, kind in enumerate(DOUBTS)}

# Other evidence multiplies the doubt.
_FACTORS: Mapping[tuple[str, str], Decimal] = MappingProxyType(
    {
        ("symbols", "same but for common words"): Decimal("0.5"),
        ("slugs", "same"): Decimal("0.7"),
        ("contracts", "same"): Decimal("0.1"),
        ("prices", "agree"): Decimal("0.5"),
        ("prices", "differ"): Decimal(3),
        ("supplies", "agree"): Decimal("0.3"),
        ("supplies", "differ"): Decimal(2),
        ("market_caps", "agree"): Decimal("0.8"),
        ("market_caps", "differ"): Decimal("1.5"),
    }
)
_MOST_DOUBT = Decimal("0.95")
_THOUSANDTH = Decimal("0.001")
_METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "correction": "correction",
        "crosswalk": "crosswalk",
        "contract": "contract",
        "same name": "symbol_and_name",
        "same but for common words": "symbol_and_name",
        "same slug": "symbol_and_slug",
        "one adds a common addition": "symbol_and_tokens",
        "words in common": "symbol_and_tokens",
        "same name and slug": "name_and_slug",
        FORMER_NAME: "former_name",
    }
)


@dataclass(slots=True, eq=False)
class Pair:
    """Two listings that may be one asset, the lesser `Ref` first, and the ground."""

    one: Listing
    other: Listing
    ground: str
    """A key of `DOUBTS`."""
    why: str | None = None
    """The reason for a review; None if the ground links the two."""
    namesakes: int = 0
    """The number of other listings of the two sides with the same ground."""
    was: tuple[str, str] | None = None
    """The symbol and name that both had, for a former name."""
    prices: Standing = field(init=False)
    agreement: dict[str, str] = field(init=False)
    """The result of each comparison. It contains no values, which change constantly."""

    def __post_init__(self) -> None:
        self.prices = self.one.compare_prices(self.other)
        compared = compare_values(self.one, self.other)
        self.agreement = {**compared, "prices": self.prices.accord}

    @property
    def repeats_symbol(self) -> bool:
        """Whether the common part of the names only repeats the symbol, as in `EOS`."""
        if self.ground == "same name":
            return self.one.name_key == self.one.symbol_key
        return self.ground == "same but for common words" and (
            self.one.comparable == comparable_name(self.one.candidate.symbol, "")
        )

    @property
    def has_only_symbol(self) -> bool:
        """Whether both sources use the symbol as the name and as the id."""
        return (
            self.ground == "same name"
            and self.one.id_is_symbol
            and self.other.id_is_symbol
            and "csv" not in {self.one.candidate.source, self.other.candidate.source}
        )

    @property
    def id_is_made_of_name(self) -> bool:
        """Whether both ids are derived from the common name: `bitcoin`, but not `bitcoin-2`."""
        if self.one.slug != self.other.slug or self.one.name_key != self.other.name_key:
            return False
        return slugify(self.one.candidate.name, "").replace("-", "") == self.one.slug

    @property
    def differs_in_symbol_and_value(self) -> bool:
        """Whether the symbols differ, and the contracts or a value too."""
        aspects = ("contracts", "prices", "market_caps", "supplies")
        return self.agreement["symbols"] == "different" and not {"differ", "different"}.isdisjoint(
            self.agreement[aspect] for aspect in aspects
        )

    @property
    def doubt(self) -> Decimal:
        return _doubt(self.ground, self.repeats_symbol, tuple(self.agreement.items()))

    def to_match(self, why: str | None) -> Match:
        """Return the row of `matches`: a review if there is a reason `why`, otherwise a link."""
        evidence: dict[str, Any] = {"ground": self.ground, **self.agreement}
        if self.namesakes:
            evidence["namesakes"] = self.namesakes
        if self.was:
            evidence["was"] = dict(zip(("symbol", "name"), self.was, strict=True))
        if why:
            evidence["why"] = why
        if self.prices.is_disputed:
            evidence["disputed"] = True
        return Match(
            listing_id=self.one.candidate.listing_id,
            other_listing_id=self.other.candidate.listing_id,
            method=_METHODS[self.ground],
            score=(1 - self.doubt).quantize(_THOUSANDTH),
            verdict="review" if why else "linked",
            prices="disputed" if self.prices.is_disputed else self.prices.accord,
            evidence=evidence,
        )


@lru_cache(maxsize=10_000)
def _doubt(ground: str, repeats_symbol: bool, agreement: tuple[tuple[str, str], ...]) -> Decimal:
    doubt = DOUBTS[ground] * (2 if repeats_symbol else 1)
    for aspect, accord in agreement:
        if aspect == ground or (aspect, ground) == ("slugs", "same slug"):
            continue
        doubt *= _FACTORS.get((aspect, accord), Decimal(1))
    return min(doubt, _MOST_DOUBT)


def compare_values(one: Listing, other: Listing) -> Mapping[str, str]:
    """Compare two listings, except for prices; computed once per pair, the lesser `Ref` first."""
    found = one.compared.get(other)
    if found is None:
        found = one.compared[other] = _compare(one, other)
    return found


def _compare(one: Listing, other: Listing) -> Mapping[str, str]:
    mine, its = one.candidate, other.candidate
    found: dict[str, str] = {
        "symbols": symbol_relation(one, other),
        "names": name_relation(one, other),
        "contracts": contract_relation(mine.contracts, its.contracts),
        "market_caps": compare_market_caps(mine, its),
        "supplies": compare_supplies(mine, its),
    }
    if one.slug and other.slug:
        found["slugs"] = "same" if one.slug == other.slug else "different"
    return found


def find_objection(pair: Pair, *, symbol_is_shared: bool) -> str | None:
    """Return why names do not suffice to link the pair, or None if they do."""
    return next(_objections(pair, symbol_is_shared=symbol_is_shared), None)


def _objections(pair: Pair, *, symbol_is_shared: bool) -> Iterator[str]:
    found = pair.agreement
    supplies_agree = found["supplies"] == "agree"
    if pair.one.versions != pair.other.versions:
        yield "versions_differ"
    if found["supplies"] == "differ" and found["prices"] != "agree":
        yield "supplies_differ"
    if (
        symbol_is_shared
        and pair.repeats_symbol
        and not pair.has_only_symbol
        and found.get("slugs") != "same"
        and not supplies_agree
    ):
        yield "name_is_symbol"
    if (
        pair.ground == "same slug"
        and found["names"] in {"same name", "same but for common words"}
        and not pair.id_is_made_of_name
    ):
        yield "namesakes"
    if pair.ground == "words in common" and not supplies_agree:
        yield "weak_names"
    if (
        pair.ground == "same name and slug"
        and found["symbols"] == "different"
        and not supplies_agree
    ):
        yield "symbols_differ"
