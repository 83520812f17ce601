"""Succession: a source delists an id and continues the coin under a new one.

The new listing takes over the links of the old one, and both stay listings of one asset. So the
history of the old id remains part of the asset.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import pairwise

from worker.identity.resolver.labels.names import normalise
from worker.identity.resolver.listing import Listing

SUCCEEDS_WITHIN = timedelta(days=1)
"""Maximum time from the last observation of a listing to the first one of its successor."""


def comes_after(later: Listing, earlier: Listing) -> bool:
    """Return whether `later` was first observed when `earlier`, now delisted, was last observed."""
    return earlier.is_delisted and later.since >= earlier.candidate.observed_at


def follow_each_other(one: Listing, other: Listing) -> bool:
    """Return whether one of two listings of a side may have replaced the other."""
    return _succeeds(one, other) or _succeeds(other, one)


def is_succession(of_side: Sequence[Listing]) -> bool:
    """Return whether each of a side's listings may have replaced the one before it."""
    ordered = sorted(of_side, key=lambda each: (each.since, not each.is_delisted, *_last(each)))
    return all(_succeeds(later, earlier) for earlier, later in pairwise(ordered))


def _succeeds(later: Listing, earlier: Listing) -> bool:
    if not comes_after(later, earlier):
        return False
    if later.since - earlier.candidate.observed_at > SUCCEEDS_WITHIN:
        return False
    is_named_alike = (later.symbol_key, later.name_key) == (earlier.symbol_key, earlier.name_key)
    return is_named_alike or bool(later.candidate.contracts & earlier.candidate.contracts)


def find_contemporaries(listings: Sequence[Listing]) -> Iterator[tuple[Listing, list[Listing]]]:
    """Yield each delisted listing, the last observed first, and the listings to compare it with.

    They share a present or former symbol, a name or a contract with it, and were not delisted
    before it.
    """
    delisted = [listing for listing in listings if listing.is_delisted]
    if not delisted:
        return
    by_key: dict[Hashable, list[Listing]] = defaultdict(list)
    for listing in listings:
        for key in _keys(listing):
            by_key[key].append(listing)
    for listing in sorted(delisted, key=_last, reverse=True):
        connected = {other.ref: other for key in _keys(listing) for other in by_key[key]}
        yield (
            listing,
            [
                other
                for _, other in sorted(connected.items())
                if not other.is_delisted or _last(other) >= _last(listing)
            ],
        )


def without_newcomers(listing: Listing, others: Iterable[Listing]) -> list[Listing]:
    """Leave out the listings of the delisted one's side that came after it."""
    return [
        other
        for other in others
        if other is listing or other.side != listing.side or not comes_after(other, listing)
    ]


def _keys(listing: Listing) -> set[Hashable]:
    symbols = {listing.symbol_key, *(normalise(each.symbol) for each in listing.candidate.names)}
    return {
        *(("symbol", symbol) for symbol in symbols if symbol),
        *(("name", name) for name in (listing.name_key,) if name),
        *listing.candidate.contracts,
    }


def _last(listing: Listing) -> tuple[object, ...]:
    return listing.candidate.observed_at, listing.ref
