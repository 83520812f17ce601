"""Parts: subsets of listings that are decided separately, however many listings share a symbol.

Two listings are in one part if they share a name, a contract, a ruling, or a symbol together with a
slug or the comparable form of a name. They are also in one part if they share only a symbol or a
word, unless their sides are ambiguous for it. An ambiguous side is known to every part.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import combinations

from worker.identity.resolver.evidence import Ruling
from worker.identity.resolver.labels.labels import all_labels
from worker.identity.resolver.listing import Listing
from worker.identity.resolver.parts.disjoint_sets import DisjointSets
from worker.identity.resolver.parts.keys import (
    CountedKey,
    connecting_keys,
    find_ambiguous_sides,
    find_connecting_symbols,
)

MOST_CERTAIN_SIDES = 5
"""With more sides (namespaces of files), not every pair is compared."""

AmbiguousSides = Mapping[CountedKey, AbstractSet[str]]
"""The sides that have several listings with a key, whatever is decided."""


@dataclass(frozen=True, slots=True)
class Part:
    """Connected listings in the order of their `Ref`, and the rulings on them."""

    listings: Sequence[Listing]
    ambiguous: AmbiguousSides
    """The same for all parts."""
    rulings: list[Ruling] = field(default_factory=list)

    def certain_pairs(self) -> Iterator[tuple[int, int]]:
        """Yield pairs of ids that are compared in any case, so that they need no second round.

        They are those of a few sides that have one listing each, all with the same symbol and name.
        """
        labels = {(each.symbol_key, each.name_key, each.kinds) for each in self.listings}
        sides = {each.side for each in self.listings}
        is_plain = len(labels) == 1 and len(sides) == len(self.listings) <= MOST_CERTAIN_SIDES
        if is_plain and not self.rulings and all(map(_is_named, self.listings)):
            ids = sorted(each.candidate.listing_id for each in self.listings)
            yield from combinations(ids, 2)


def _is_named(listing: Listing) -> bool:
    """Whether a listing is present and has both labels, so that it is compared by them."""
    is_present = not (listing.candidate.is_pending or listing.is_delisted)
    return is_present and bool(listing.symbol_key and listing.name_key)


def find_parts(
    listings: Sequence[Listing], rulings: Sequence[Ruling], witnesses: Sequence[Listing] = ()
) -> list[Part]:
    """Divide listings, in the order of their `Ref`, into parts that do not affect one another.

    Witnesses only prove that sides are ambiguous; they are in no part.
    """
    places = {listing.ref: place for place, listing in enumerate(listings)}
    sets: DisjointSets[int] = DisjointSets()
    _connect_by_keys(sets, listings)
    rulings = [r for r in rulings if r.one in places and r.other in places]
    ruled = {ref for ruling in rulings if ruling.same for ref in (ruling.one, ruling.other)}
    for ruling in rulings:
        if ruling.same:
            sets.join(places[ruling.one], places[ruling.other])
    ambiguous: dict[CountedKey, set[str]] = {}
    every = [*listings, *witnesses]
    for key, holders in _find_holders(every):
        sides = ambiguous[key] = find_ambiguous_sides([every[place] for place in holders], ruled)
        unambiguous = [n for n in holders if every[n].side not in sides and n < len(listings)]
        _connect_holders(sets, key, unambiguous, listings)
    members: dict[int, list[Listing]] = defaultdict(list)
    for place, listing in enumerate(listings):
        members[sets.find(place)].append(listing)
    parts = {root: Part(of_part, ambiguous) for root, of_part in members.items()}
    for ruling in rulings:
        root = sets.find(places[ruling.one])
        if root == sets.find(places[ruling.other]):
            parts[root].rulings.append(ruling)
    return list(parts.values())


def _connect_by_keys(sets: DisjointSets[int], listings: Sequence[Listing]) -> None:
    first: dict[Hashable, int] = {}
    connecting_symbols = find_connecting_symbols(listings)
    for place, listing in enumerate(listings):
        if listing.candidate.is_pending:
            continue
        for key in (*listing.candidate.contracts, listing.name_key):
            if key:
                sets.join(place, first.setdefault(key, place))
        for labels in all_labels(listing.candidate):
            for connecting in connecting_keys(labels):
                sets.join(place, first.setdefault(("symbol", *connecting), place))
            if labels.symbol_key in connecting_symbols:
                sets.join(place, first.setdefault(("symbol", labels.symbol_key), place))


def _connect_holders(
    sets: DisjointSets[int], key: CountedKey, holders: Sequence[int], listings: Sequence[Listing]
) -> None:
    """Connect the holders of a key whose sides may have it only once.

    Holders of a word are connected across sides, because the word can link them. A symbol alone
    links none, so its holders are connected within each side.
    """
    first: dict[str, int] = {}
    for place in holders:
        side = "" if key[2] else listings[place].side
        sets.join(place, first.setdefault(side, place))


def _find_holders(listings: Sequence[Listing]) -> Iterator[tuple[CountedKey, list[int]]]:
    """Find the places of the holders of each key that several have; words only if names differ."""
    by_symbol: dict[tuple[str, frozenset[str]], list[int]] = defaultdict(list)
    for place, listing in enumerate(listings):
        if listing.symbol_key and not listing.candidate.is_pending:
            by_symbol[listing.symbol_key, listing.kinds].append(place)
    for (symbol, kinds), holders in by_symbol.items():
        if len(holders) == 1:
            continue
        yield (symbol, kinds, ""), holders
        name = listings[holders[0]].name_key
        if all(listings[place].name_key == name for place in holders):
            continue
        by_word: dict[str, list[int]] = defaultdict(list)
        for place in holders:
            for word in listings[place].words:
                by_word[word].append(place)
        for word, places in by_word.items():
            if len(places) > 1:
                yield (symbol, kinds, word), places
