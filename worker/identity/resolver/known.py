"""A listing with what its names come to, and how the names and contracts of two compare."""

from worker.identity.resolver.corroboration import PriceComparison, Standing
from worker.identity.resolver.evidence import Candidate
from worker.identity.resolver.labels.names import (
    comparable_name,
    comparable_symbol,
    name_tokens,
    normalise,
    slug_part,
    slugify,
    split_words,
)
from worker.identity.resolver.labels.variants import find_kinds, find_versions

SOFT_WORDS = frozenset(
    {"finance", "dao", "chain", "hub", "exchange", "dex", "defi", "swap", "money", "usd"}
    | {
        "labs",
        "lab",
        "fi",
        "io",
        "com",
        "net",
        "org",
        "app",
        "game",
        "games",
        "gaming",
        "stablecoin",
    }
    | {"world", "global", "digital"}
)
"""Words that one source adds to a name that another source has without them."""


class Known:
    """A candidate with what its names come to, and how its prices compare with another's."""

    def __init__(self, candidate: Candidate, prices: PriceComparison) -> None:
        symbol, name = candidate.symbol, candidate.name
        self.candidate = candidate
        self.prices = prices
        self.ref = candidate.ref
        self.side = candidate.side
        self.symbol_key = normalise(symbol)
        self.name_key = normalise(name)
        self.tokens = frozenset(name_tokens(name, symbol))
        self.comparable = comparable_name(name, symbol)
        slug = slug_part(candidate.source, candidate.external_id, symbol)
        self.id_is_symbol = slug in {self.symbol_key, slugify(symbol, "")}
        self.slug = "" if self.id_is_symbol or slug.isdigit() else slug.replace("-", "")
        """Without hyphens; empty where the id says only the symbol again, or is a number."""
        self.kinds = find_kinds(self.symbol_key, self.name_key, slug)
        self.versions = find_versions(self.name_key, slug)
        self.common_words = frozenset(split_words(name, symbol)) - self.tokens
        self.is_delisted = candidate.is_delisted
        self.since = min((told.since for told in candidate.names), default=candidate.observed_at)
        """When it was first observed."""

    def compare_prices(self, other: "Known") -> Standing:
        return self.prices(self.candidate, other.candidate)


def symbol_relation(one: Known, other: Known) -> str:
    """Say how two symbols compare; empty ones are as different as any."""
    if one.symbol_key == other.symbol_key:
        return "same" if one.symbol_key else "different"
    mine, its = (comparable_symbol(listing.candidate.symbol) for listing in (one, other))
    return "same but for common words" if mine and mine == its else "different"


def name_relation(one: Known, other: Known) -> str:
    """Say how two names compare; a key of `DOUBTS` where that alone is a ground."""
    if not one.name_key or not other.name_key:
        return "unknown"
    if one.name_key == other.name_key:
        return "same name"
    few, more = sorted((one.common_words, other.common_words), key=len)
    if one.comparable == other.comparable and few <= more:
        return "same but for common words"
    rest = one.tokens ^ other.tokens
    if rest and rest <= SOFT_WORDS and (one.tokens <= other.tokens or other.tokens <= one.tokens):
        return "one adds a common addition"
    if one.comparable == other.comparable or one.tokens & other.tokens - SOFT_WORDS:
        return "words in common"
    return "different"


def contract_relation(some: frozenset[tuple[str, str]], others: frozenset[tuple[str, str]]) -> str:
    """Say how two sets of contracts compare; different only where both name one on a chain."""
    if some & others:
        return "same"
    on_both = {chain for chain, _ in some} & {chain for chain, _ in others}
    return "different" if on_both else "unknown"
