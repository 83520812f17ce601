"""Finds the pairs of listings that may be one asset: those that share a key."""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise, product
from operator import attrgetter
from typing import TypeVar

from worker.identity.resolver.judging import Pair, find_objection
from worker.identity.resolver.labels.names import comparable_name
from worker.identity.resolver.listing import Listing, name_relation
from worker.identity.resolver.parts.parts import AmbiguousSides
from worker.identity.resolver.succession import follow_each_other

MOST_NAMESAKES = 5
"""No reviews are created for a name and symbol that a side has more often."""
MOST_SIDES = 20
"""With more sides (namespaces of files), each listing is compared only with its neighbours."""
MOST_SHARERS = 3
"""A contract that a side has for more listings is a placeholder."""

GROUNDS: tuple[tuple[str, Callable[[Listing], str]], ...] = (
    ("same name", attrgetter("name_key")),
    ("same but for common words", attrgetter("comparable")),
    ("same slug", attrgetter("slug")),
)
"""The grounds for pairs of one symbol, the strongest first, and the key that they share."""

_Item = TypeVar("_Item")

Root = Callable[[Listing], int]
Sides = dict[str, list[Listing]]


@dataclass(frozen=True, slots=True)
class Scope:
    """What is to be paired.

    Listings with the same `root` are already in one cluster. If a listing is `judged`, only pairs
    of that listing are returned.
    """

    root: Root
    ambiguous: AmbiguousSides
    judged: Listing | None = None

    def includes(self, one: Listing, other: Listing) -> bool:
        return self.judged is None or self.judged is one or self.judged is other

    def count_clusters(self, listings: Collection[Listing]) -> int:
        """Count the clusters of the listings."""
        return len({self.root(each) for each in listings})


def pair_by_contract(listings: Iterable[Listing], scope: Scope) -> Iterator[Pair]:
    """Pair listings that have the same contract, including two listings of one side."""
    by_contract: dict[Hashable, list[Listing]] = defaultdict(list)
    for listing in listings:
        for contract in listing.candidate.contracts:
            by_contract[contract].append(listing)
    for sharers in by_contract.values():
        if len(sharers) < 2:  # noqa: PLR2004
            continue
        sides = _by_side(sharers)
        if max(map(len, sides.values())) > MOST_SHARERS:
            continue
        for one, other in combinations(sorted(sharers, key=_ref), 2):
            if not scope.includes(one, other):
                continue
            alone = all(_is_alone(found, sides[found.side], scope) for found in (one, other))
            yield Pair(one, other, "contract", why=_contract_objection(one, other, alone=alone))


def _contract_objection(one: Listing, other: Listing, *, alone: bool) -> str | None:
    if one.kinds != other.kinds:
        return "variant"
    if one.side == other.side and not follow_each_other(one, other):
        return "same_source"
    return None if alone else "contract_shared"


def _is_alone(listing: Listing, of_side: Iterable[Listing], scope: Scope) -> bool:
    """Return whether no other listing of its side has the contract.

    Listings that it replaced, or that replaced it, do not count.
    """
    rivals = (other for other in of_side if not follow_each_other(listing, other))
    return scope.count_clusters((listing, *rivals)) == 1


def pair_by_names(listings: Iterable[Listing], scope: Scope) -> Iterator[Pair]:
    """Pair listings of different sides by symbol and name, slug or name tokens.

    A derivative is paired only with derivatives of its kinds. Listings of one cluster do not count
    as namesakes of each other.
    """
    blocks: dict[Hashable, list[Listing]] = defaultdict(list)
    for listing in listings:
        if listing.symbol_key:
            blocks[listing.symbol_key, listing.kinds].append(listing)
    for block in blocks.values():
        sides = _by_side(block)
        if len(sides) > 1:
            yield from _pair_block(block, sides, scope)


def pair_across_symbols(listings: Iterable[Listing], scope: Scope) -> Iterator[Pair]:
    """Pair listings with the same name and slug and different symbols, if each side has one.

    Derivatives are left out, and so are pairs that also differ in another value.
    """
    blocks: dict[str, list[Listing]] = defaultdict(list)
    for listing in listings:
        if listing.name_key and not listing.kinds:
            blocks[listing.name_key].append(listing)
    for block in blocks.values():
        if all(listing.symbol_key == block[0].symbol_key for listing in block):
            continue
        sides = _by_side(block)
        alone = [
            listing
            for members in sides.values()
            if scope.count_clusters(members) == 1
            for listing in members
            if listing.slug and listing.symbol_key
        ]
        for one, other in _each_pair(alone, scope):
            if one.symbol_key != other.symbol_key and one.slug == other.slug:
                pair = _object_to(Pair(one, other, "same name and slug"), symbol_is_shared=False)
                if not (pair.why and pair.differs_in_symbol_and_value):
                    yield pair


def _pair_block(block: Sequence[Listing], sides: Sides, scope: Scope) -> Iterator[Pair]:
    shared = set(_shared_sides(sides, scope))
    shared |= scope.ambiguous.get((block[0].symbol_key, block[0].kinds, ""), set())
    is_of_one_name = all(listing.name_key == block[0].name_key for listing in block)
    for ground, key in GROUNDS:
        if is_of_one_name and ground == "same but for common words":
            continue  # the same groups as those of the same name
        for group in group_by(block, key).values():
            if len(group) > 1:
                yield from _pair_group(group, ground, scope, shared)
    if not is_of_one_name:
        yield from _pair_by_words(block, scope, shared)


def _pair_by_words(block: Sequence[Listing], scope: Scope, shared: set[str]) -> Iterator[Pair]:
    """Pair by words that only one listing of each side has."""
    by_word: dict[str, list[Listing]] = defaultdict(list)
    for listing in block:
        for word in listing.words:
            by_word[word].append(listing)
    symbol = comparable_name(block[0].candidate.symbol, "")
    found = {}
    for word, holders in by_word.items():
        if len(holders) == 1:
            continue
        ambiguous = scope.ambiguous.get((block[0].symbol_key, block[0].kinds, word), set())
        if word == symbol:
            ambiguous = ambiguous | shared
        alone = [
            listing
            for side, members in _by_side(holders).items()
            if side not in ambiguous and scope.count_clusters(members) == 1
            for listing in members
        ]
        for one, other in _each_pair(alone, scope):
            relation = name_relation(one, other)
            if relation in {"one adds a common addition", "words in common"}:
                found[one.ref, other.ref] = Pair(one, other, relation)
    for pair in found.values():
        yield _object_to(pair, symbol_is_shared=False)


def _pair_group(
    group: Sequence[Listing], ground: str, scope: Scope, shared: set[str]
) -> Iterator[Pair]:
    """Pair listings that share a key.

    Where a side has it more than once, the pairs are only reviews, and only if it has few.
    """
    sides = _by_side(group)
    ambiguous = _shared_sides(sides, scope)
    alone = [member for member in group if member.side not in ambiguous] if ambiguous else group
    for one, other in _each_pair(alone, scope):
        if ground == "same slug" or name_relation(one, other) == ground:
            is_shared = not shared.isdisjoint({one.side, other.side})
            yield _object_to(Pair(one, other, ground), symbol_is_shared=is_shared)
    if ambiguous:
        yield from _pair_namesakes(sides, ambiguous, ground, scope)


def _pair_namesakes(sides: Sides, ambiguous: Sides, ground: str, scope: Scope) -> Iterator[Pair]:
    for side, members in ambiguous.items():
        if len(members) > MOST_NAMESAKES:
            continue
        for other_side, others in sides.items():
            if other_side == side or len(others) > MOST_NAMESAKES:
                continue
            if other_side in ambiguous and other_side < side:
                continue
            more = len(members) + len(others) - 2
            for member, other in product(members, others):
                one, two = sorted((member, other), key=_ref)
                if scope.includes(one, two):
                    yield Pair(one, two, ground, "namesakes", more)


def _object_to(pair: Pair, *, symbol_is_shared: bool) -> Pair:
    pair.why = find_objection(pair, symbol_is_shared=symbol_is_shared)
    return pair


def _each_pair(listings: Sequence[Listing], scope: Scope) -> Iterator[tuple[Listing, Listing]]:
    ordered = sorted(listings, key=_ref)
    few = len(ordered) <= MOST_SIDES or len({each.side for each in ordered}) <= MOST_SIDES
    for one, other in combinations(ordered, 2) if few else pairwise(ordered):
        if one.side != other.side and scope.includes(one, other):
            yield one, other


def group_by(items: Iterable[_Item], key: Callable[[_Item], str]) -> dict[str, list[_Item]]:
    """Group items by a key, in their order. Items with an empty key are in no group."""
    groups: dict[str, list[_Item]] = defaultdict(list)
    for item in items:
        if label := key(item):
            groups[label].append(item)
    return groups


def _shared_sides(sides: Sides, scope: Scope) -> Sides:
    return {
        side: members
        for side, members in sides.items()
        if len(members) > 1 and scope.count_clusters(members) > 1
    }


def _by_side(listings: Iterable[Listing]) -> Sides:
    return group_by(listings, attrgetter("side"))


_ref = attrgetter("ref")
