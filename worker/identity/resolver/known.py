"""A listing with what its names come to, and how the names and contracts of two compare."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property, lru_cache
from typing import NamedTuple

from worker.identity.resolver.corroboration import PriceComparison, Standing
from worker.identity.resolver.evidence import Candidate
from worker.identity.resolver.labels.names import (
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


class Called(NamedTuple):
    """What a symbol and a name come to, of a listing with that id."""

    symbol_key: str
    name_key: str
    tokens: frozenset[str]
    comparable: str
    id_is_symbol: bool
    slug: str
    """Without hyphens; empty where the id says only the symbol again, or is a number."""
    kinds: frozenset[str]
    versions: frozenset[str]
    common_words: frozenset[str]
    words: tuple[str, ...]
    """The tokens that no source adds at will."""


@lru_cache(maxsize=20_000)
def read_names(source: str, external_id: str, symbol: str, name: str) -> Called:
    symbol_key, name_key = normalise(symbol), normalise(name)
    tokens = name_tokens(name, symbol)
    distinct = frozenset(tokens)
    slug = slug_part(source, external_id, symbol)
    id_is_symbol = slug in {symbol_key, slugify(symbol, "")}
    return Called(
        symbol_key,
        name_key,
        distinct,
        "".join(tokens),
        id_is_symbol,
        "" if id_is_symbol or slug.isdigit() else slug.replace("-", ""),
        find_kinds(symbol_key, name_key, slug),
        find_versions(name_key, slug),
        frozenset(split_words(name, symbol)) - distinct,
        tuple(distinct - SOFT_WORDS),
    )


def called_as(candidate: Candidate) -> Iterator[Called]:
    """Yield what a listing is called now, and all that it was called."""
    source, external_id = candidate.ref
    yield read_names(source, external_id, candidate.symbol, candidate.name)
    for told in candidate.names:
        if (told.symbol, told.name) != (candidate.symbol, candidate.name):
            yield read_names(source, external_id, told.symbol, told.name)


class Known:
    """A candidate with what its names come to, and how it compares with others."""

    def __init__(self, candidate: Candidate, prices: PriceComparison) -> None:
        called = read_names(
            candidate.source, candidate.external_id, candidate.symbol, candidate.name
        )
        self.candidate = candidate
        self.prices = prices
        self.ref = candidate.ref
        self.side = candidate.side
        self.symbol_key = called.symbol_key
        self.name_key = called.name_key
        self.tokens = called.tokens
        self.comparable = called.comparable
        self.id_is_symbol = called.id_is_symbol
        self.slug = called.slug
        self.kinds = called.kinds
        self.versions = called.versions
        self.common_words = called.common_words
        self.words = called.words
        self.is_delisted = candidate.is_delisted
        self.since = min((told.since for told in candidate.names), default=candidate.observed_at)
        """When it was first observed."""
        self.compared: dict[Known, Mapping[str, str]] = {}
        """How its values compare with those of others; not prices, which may yet be worked out."""

    @cached_property
    def called_since(self) -> datetime:
        """Since when it is called what it is called now."""
        present = self.symbol_key, self.name_key
        return min(
            (
                told.since
                for told in self.candidate.names
                if (normalise(told.symbol), normalise(told.name)) == present
            ),
            default=self.candidate.observed_at,
        )

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
    if one.comparable == other.comparable:
        few, more = sorted((one.common_words, other.common_words), key=len)
        if few <= more:
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
