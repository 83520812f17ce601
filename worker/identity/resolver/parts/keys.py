"""Keys by which listings affect one another.

A connecting key puts all listings that have it into one part. For a counted key, only the number of
listings of a side matters: names that several listings of a side share link none of them.
"""

from collections.abc import Collection, Hashable, Iterator, Sequence

from worker.identity.resolver.evidence import Ref
from worker.identity.resolver.labels.labels import Labels, all_labels
from worker.identity.resolver.labels.names import comparable_name
from worker.identity.resolver.listing import Listing

FEWEST_DUPLICATES = 2
"""Listings of a side that no decision can make one asset; they prove a key to be ambiguous."""

CountedKey = tuple[str, frozenset[str], str]
"""A symbol, kinds of derivative, and a word of names; an empty word for the symbol alone."""


def connecting_keys(labels: Labels) -> Iterator[tuple[Hashable, ...]]:
    """Yield the connecting keys of a symbol and name, except the name itself."""
    if labels.symbol_key:
        if labels.slug:
            yield labels.symbol_key, labels.kinds, labels.slug
        if labels.comparable:
            yield labels.symbol_key, labels.comparable


def counted_keys(labels: Labels) -> Iterator[CountedKey]:
    if labels.symbol_key:
        for word in ("", *labels.words):
            yield labels.symbol_key, labels.kinds, word


def symbol_as_names(symbol_key: str) -> set[str]:
    """Return the comparable forms of a name that only repeats the symbol."""
    return {comparable_name(symbol_key, symbol_key), comparable_name(symbol_key, "")}


def repeats_symbol(labels: Labels) -> bool:
    """Return whether the name only repeats the symbol."""
    return labels.symbol_key != "" and (
        labels.name_key == labels.symbol_key
        or labels.comparable in symbol_as_names(labels.symbol_key)
    )


def find_ambiguous_sides(holders: Sequence[Listing], ruled: Collection[Ref]) -> set[str]:
    """Find the sides that have several holders of a key which remain different assets.

    Two listed ones without a ruling are never one asset. A delisted listing is compared only with
    listings of its side that were observed before it was last observed. So two of those are needed
    for each delisted holder of the side; otherwise the side does not count as ambiguous.
    """
    if len({listing.side for listing in holders}) == len(holders):
        return set()
    listed: dict[str, list[Listing]] = {}
    for listing in holders:
        if not listing.is_delisted and listing.ref not in ruled:
            listed.setdefault(listing.side, []).append(listing)
    ambiguous_since = {
        side: sorted(listing.since for listing in listings)[FEWEST_DUPLICATES - 1]
        for side, listings in listed.items()
        if len(listings) >= FEWEST_DUPLICATES
    }
    uncertain = {
        listing.side
        for listing in holders
        if listing.is_delisted
        and listing.side in ambiguous_since
        and ambiguous_since[listing.side] >= listing.candidate.observed_at
    }
    return ambiguous_since.keys() - uncertain


def find_connecting_symbols(listings: Sequence[Listing]) -> set[str]:
    """Find the symbols that connect all listings that ever had them.

    Those are the symbols that a renamed listing had as its name at any time: whether a former name
    is evidence then depends on which other listings had the symbol at that time.
    """
    return {
        labels.symbol_key
        for listing in listings
        if len(listing.candidate.names) > 1
        for labels in all_labels(listing.candidate)
        if repeats_symbol(labels)
    }
