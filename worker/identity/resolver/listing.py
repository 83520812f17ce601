"""A listing with its labels, and comparisons of the labels and contracts of two listings."""

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property

from worker.identity.resolver.corroboration import PriceComparison, Standing
from worker.identity.resolver.evidence import Candidate
from worker.identity.resolver.labels.labels import SOFT_WORDS, parse_labels
from worker.identity.resolver.labels.names import comparable_symbol, normalise


class Listing:
    """A candidate with its labels, and its comparisons with other listings."""

    def __init__(self, candidate: Candidate, prices: PriceComparison) -> None:
        labels = parse_labels(*candidate.ref, candidate.symbol, candidate.name)
        self.candidate = candidate
        self.prices = prices
        self.ref = candidate.ref
        self.side = candidate.side
        self.symbol_key = labels.symbol_key
        self.name_key = labels.name_key
        self.tokens = labels.tokens
        self.comparable = labels.comparable
        self.id_is_symbol = labels.id_is_symbol
        self.slug = labels.slug
        self.kinds = labels.kinds
        self.versions = labels.versions
        self.common_words = labels.common_words
        self.words = labels.words
        self.is_delisted = candidate.is_delisted
        self.since = min((name.since for name in candidate.names), default=candidate.observed_at)
        """The time of its first observation."""
        self.compared: dict[Listing, Mapping[str, str]] = {}
        """The results of `compare_values` with other listings. Prices are not among them, since
        they may be compared later."""

    @cached_property
    def labelled_since(self) -> datetime:
        """The time since which it has had its present symbol and name."""
        present = self.symbol_key, self.name_key
        return min(
            (
                name.since
                for name in self.candidate.names
                if (normalise(name.symbol), normalise(name.name)) == present
            ),
            default=self.candidate.observed_at,
        )

    def compare_prices(self, other: "Listing") -> Standing:
        return self.prices(self.candidate, other.candidate)


def symbol_relation(one: Listing, other: Listing) -> str:
    """Return how two symbols compare; empty symbols are different."""
    if one.symbol_key == other.symbol_key:
        return "same" if one.symbol_key else "different"
    mine, its = (comparable_symbol(listing.candidate.symbol) for listing in (one, other))
    return "same but for common words" if mine and mine == its else "different"


def name_relation(one: Listing, other: Listing) -> str:
    """Return how two names compare: a key of `DOUBTS` if that alone can be the ground of a link."""
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
    """Return how two sets of contracts compare; `different` needs a chain that both have."""
    if some & others:
        return "same"
    on_both = {chain for chain, _ in some} & {chain for chain, _ in others}
    return "different" if on_both else "unknown"
