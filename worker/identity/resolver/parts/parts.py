"""Parting listings into sets that are decided on each by itself, however many share a symbol.

Two listings hang together that share a name, a symbol and what their names are compared by, a slug,
a contract or a ruling. Of those that only share a symbol, or a word under it, it matters whether
their side has it once: where it has it more than once whatever is decided, that alone is told.
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import combinations

from worker.identity.resolver.evidence import Ref, Ruling
from worker.identity.resolver.known import Called, Known, called_as
from worker.identity.resolver.labels.names import comparable_name

WITNESSES = 2
"""So many listings of a side that nothing can make one prove that it has what they share twice."""

SharedKey = tuple[str, frozenset[str], str]
"""A symbol and kinds, and a word of names under it; none for the symbol itself."""
Crowded = Mapping[SharedKey, AbstractSet[str]]
"""Of what the sides have more than one listing, whatever is decided."""


@dataclass(frozen=True, slots=True)
class Part:
    """Listings that hang together, in the order of their `Ref`, and what was ruled of them."""

    listings: Sequence[Known]
    crowded: Crowded
    """The same for all parts."""
    rulings: list[Ruling] = field(default_factory=list)

    def sure_pairs(self) -> Iterator[tuple[int, int]]:
        """Yield the ids of those that are compared for certain: where each side has one listing."""
        compared = [each for each in self.listings if not each.candidate.is_pending]
        if len(compared) > 1 and len({each.side for each in compared}) == len(compared):
            numbers = sorted(each.candidate.listing_id for each in compared)
            yield from combinations(numbers, 2)


def find_parts(
    listings: Sequence[Known], rulings: Sequence[Ruling], beside: Sequence[Known] = ()
) -> list[Part]:
    """Part listings, in the order of their `Ref`, so that none matters to another part.

    Those `beside` them hang together with none, and are in no part; they witness what is crowded.
    """
    place = {listing.ref: n for n, listing in enumerate(listings)}
    held = _Held(len(listings))
    held.hold_by_keys(listings)
    known = [r for r in rulings if r.one in place and r.other in place]
    for ruling in known:
        if ruling.same:
            held.join(place[ruling.one], place[ruling.other])
    ruled = {ref for ruling in known if ruling.same for ref in (ruling.one, ruling.other)}
    crowded: dict[SharedKey, set[str]] = {}
    every = [*listings, *beside]
    for shared, holders in _find_holders(every):
        sides = crowded[shared] = find_crowded_sides([every[n] for n in holders], ruled)
        alone = [n for n in holders if every[n].side not in sides and n < len(listings)]
        held.hold_where_alone(shared, alone, listings)
    parts: dict[int, list[Known]] = defaultdict(list)
    for n, listing in enumerate(listings):
        parts[held.find(n)].append(listing)
    found = {root: Part(members, crowded) for root, members in parts.items()}
    for ruling in known:
        root = held.find(place[ruling.one])
        if root == held.find(place[ruling.other]):
            found[root].rulings.append(ruling)
    return list(found.values())


def close_keys(called: Called) -> Iterator[tuple[Hashable, ...]]:
    """Yield what a listing under that symbol hangs together by with all others that have it."""
    if called.symbol_key:
        if called.slug:
            yield called.symbol_key, called.kinds, called.slug
        if called.comparable:
            yield called.symbol_key, called.comparable


def shared_keys(called: Called) -> Iterator[SharedKey]:
    """Yield what it matters of whether a side has it once."""
    if called.symbol_key:
        for word in ("", *called.words):
            yield called.symbol_key, called.kinds, word


def names_of_symbol(symbol_key: str) -> set[str]:
    """Give what a name that says the symbol again is compared by."""
    return {comparable_name(symbol_key, symbol_key), comparable_name(symbol_key, "")}


def says_symbol(called: Called) -> bool:
    return called.symbol_key != "" and called.comparable in names_of_symbol(called.symbol_key)


def find_crowded_sides(holders: Sequence[Known], ruled: Collection[Ref]) -> set[str]:
    """Find which sides have more than one of these listings, whatever is decided.

    Two that are listed and that nobody ruled upon are never one. They are among those that a
    delisted one of their side is judged among, if they were there before it was gone.
    """
    if len({listing.side for listing in holders}) == len(holders):
        return set()
    sure: dict[str, list[Known]] = defaultdict(list)
    for listing in holders:
        if not listing.is_delisted and listing.ref not in ruled:
            sure[listing.side].append(listing)
    since = {
        side: sorted(listing.since for listing in listings)[WITNESSES - 1]
        for side, listings in sure.items()
        if len(listings) >= WITNESSES
    }
    doubtful = {
        listing.side
        for listing in holders
        if listing.is_delisted
        and listing.side in since
        and since[listing.side] >= listing.candidate.observed_at
    }
    return since.keys() - doubtful


def symbols_in_question(listings: Sequence[Known]) -> set[str]:
    """Find symbols of which all listings hang together that ever had them.

    Where one was called by nothing but its symbol, and is or was called otherwise too, it matters
    who else had that symbol when.
    """
    return {
        called.symbol_key
        for listing in listings
        if len(listing.candidate.names) > 1
        for called in called_as(listing.candidate)
        if says_symbol(called)
    }


def _find_holders(listings: Sequence[Known]) -> Iterator[tuple[SharedKey, list[int]]]:
    """Find of what several are held, and by which; of words, where they are not of one name."""
    by_symbol: dict[tuple[str, frozenset[str]], list[int]] = defaultdict(list)
    for n, listing in enumerate(listings):
        if listing.symbol_key and not listing.candidate.is_pending:
            by_symbol[listing.symbol_key, listing.kinds].append(n)
    for (symbol, kinds), sharers in by_symbol.items():
        if len(sharers) == 1:
            continue
        yield (symbol, kinds, ""), sharers
        name = listings[sharers[0]].name_key
        if all(listings[n].name_key == name for n in sharers):
            continue
        by_word: dict[str, list[int]] = defaultdict(list)
        for n in sharers:
            for word in listings[n].words:
                by_word[word].append(n)
        for word, holders in by_word.items():
            if len(holders) > 1:
                yield (symbol, kinds, word), holders


class _Held:
    """Which of so many listings are held together, by their numbers."""

    def __init__(self, count: int) -> None:
        self._above = list(range(count))

    def find(self, one: int) -> int:
        """Return what is the same for all that are held together."""
        above = self._above
        while above[one] != one:
            above[one] = one = above[above[one]]
        return one

    def join(self, one: int, other: int) -> None:
        self._above[self.find(one)] = self.find(other)

    def hold_by_keys(self, listings: Sequence[Known]) -> None:
        first: dict[Hashable, int] = {}
        in_question = symbols_in_question(listings)
        for n, listing in enumerate(listings):
            if listing.candidate.is_pending:
                continue
            for key in (*listing.candidate.contracts, listing.name_key):
                if key:
                    self.join(n, first.setdefault(key, n))
            for called in called_as(listing.candidate):
                for close in close_keys(called):
                    self.join(n, first.setdefault(("symbol", *close), n))
                if called.symbol_key in in_question:
                    self.join(n, first.setdefault(("symbol", called.symbol_key), n))

    def hold_where_alone(
        self, shared: SharedKey, alone: Sequence[int], listings: Sequence[Known]
    ) -> None:
        """Hold those together whose sides have what is shared no more than once, for certain.

        Of a word, across sides: it may be what makes a pair of them. A symbol alone makes none.
        """
        first: dict[str, int] = {}
        for n in alone:
            self.join(n, first.setdefault("" if shared[2] else listings[n].side, n))
