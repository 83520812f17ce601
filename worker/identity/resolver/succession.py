"""Listings of one source that name an asset one after the other: a delisted one and its successor.

A source that replaces an id delists the old one. The new one takes the links of the old one, and
both stay listings of one asset: the history of the old id is the asset's.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import pairwise

from worker.identity.resolver.known import Known
from worker.identity.resolver.labels.names import normalise

SUCCEEDS_WITHIN = timedelta(days=1)
"""A successor is first observed no later than this after the delisted listing was observed last."""


def comes_after(later: Known, earlier: Known) -> bool:
    """Say whether one was first observed when the other, which is delisted, was observed last."""
    return earlier.is_delisted and later.since >= earlier.candidate.observed_at


def follow_each_other(one: Known, other: Known) -> bool:
    """Say whether one of two listings of one side may have replaced the other."""
    return _succeeds(one, other) or _succeeds(other, one)


def is_succession(of_side: Sequence[Known]) -> bool:
    """Say whether each of a side's listings replaced the one before it."""
    ordered = sorted(of_side, key=lambda each: (each.since, not each.is_delisted, *_last(each)))
    return all(_succeeds(later, earlier) for earlier, later in pairwise(ordered))


def _succeeds(later: Known, earlier: Known) -> bool:
    if not comes_after(later, earlier):
        return False
    if later.since - earlier.candidate.observed_at > SUCCEEDS_WITHIN:
        return False
    is_named_alike = (later.symbol_key, later.name_key) == (earlier.symbol_key, earlier.name_key)
    return is_named_alike or bool(later.candidate.contracts & earlier.candidate.contracts)


def find_surroundings(listings: Sequence[Known]) -> Iterator[tuple[Known, list[Known]]]:
    """Yield each delisted listing, the last observed first, and those that it is judged among.

    Those share a symbol of any day, a name or a contract with it. What was delisted before it does
    not count any more.
    """
    gone = [listing for listing in listings if listing.is_delisted]
    if not gone:
        return
    by_key: dict[Hashable, list[Known]] = defaultdict(list)
    for listing in listings:
        for key in _keys(listing):
            by_key[key].append(listing)
    for listing in sorted(gone, key=_last, reverse=True):
        near = {other.ref: other for key in _keys(listing) for other in by_key[key]}
        yield (
            listing,
            [
                other
                for _, other in sorted(near.items())
                if not other.is_delisted or _last(other) >= _last(listing)
            ],
        )


def without_newcomers(listing: Known, others: Iterable[Known]) -> list[Known]:
    """Leave out listings of a delisted one's own side that came after it."""
    return [
        other
        for other in others
        if other is listing or other.side != listing.side or not comes_after(other, listing)
    ]


def _keys(listing: Known) -> set[Hashable]:
    symbols = {listing.symbol_key, *(normalise(each.symbol) for each in listing.candidate.names)}
    return {
        *(("symbol", symbol) for symbol in symbols if symbol),
        *(("name", name) for name in (listing.name_key,) if name),
        *listing.candidate.contracts,
    }


def _last(listing: Known) -> tuple[object, ...]:
    return listing.candidate.observed_at, listing.ref
