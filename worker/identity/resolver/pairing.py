"""Which pairs of listings are worth judging: those that share a key."""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise, product
from operator import attrgetter
from typing import TypeVar

from worker.identity.resolver.judging import Pair, find_objection
from worker.identity.resolver.known import Known, name_relation
from worker.identity.resolver.labels.names import comparable_name
from worker.identity.resolver.parts.parts import Crowded
from worker.identity.resolver.succession import follow_each_other

MOST_NAMESAKES = 5
"""Where a source has more listings under one name and symbol, nobody could pick: no reviews."""
MOST_SIDES = 20
"""Of more sources, files' namespaces that is, each is compared with its neighbours only."""
MOST_SHARERS = 3
"""A contract that one source names for more listings is a placeholder, not a contract."""

GROUNDS: tuple[tuple[str, Callable[[Known], str]], ...] = (
    ("same name", attrgetter("name_key")),
    ("same but for common words", attrgetter("comparable")),
    ("same slug", attrgetter("slug")),
)
"""On what two of one symbol are paired, the strongest first, and what they then share."""

_Item = TypeVar("_Item")

Root = Callable[[Known], int]
Sides = dict[str, list[Known]]


@dataclass(frozen=True, slots=True)
class Round:
    """What pairing is about: two that have the same `root` are one already.

    Of what is `crowded` there are more listings than those at hand. If one is `judged`, only pairs
    of it are of interest, and no other is compared.
    """

    root: Root
    crowded: Crowded
    judged: Known | None = None

    def is_about(self, one: Known, other: Known) -> bool:
        return self.judged is None or self.judged is one or self.judged is other

    def count(self, listings: Collection[Known]) -> int:
        """Count those that are not one already."""
        return len({self.root(each) for each in listings})


def pair_by_contract(listings: Iterable[Known], turn: Round) -> Iterator[Pair]:
    """Pair listings that name the same contract, two of one side among them."""
    by_contract: dict[Hashable, list[Known]] = defaultdict(list)
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
            if not turn.is_about(one, other):
                continue
            alone = all(_is_alone(found, sides[found.side], turn) for found in (one, other))
            yield Pair(one, other, "contract", why=_contract_objection(one, other, alone=alone))


def _contract_objection(one: Known, other: Known, *, alone: bool) -> str | None:
    if one.kinds != other.kinds:
        return "variant"
    if one.side == other.side and not follow_each_other(one, other):
        return "same_source"
    return None if alone else "contract_shared"


def _is_alone(listing: Known, of_side: Iterable[Known], turn: Round) -> bool:
    """Say whether no other of its side has what it has, but what it replaced or was replaced by."""
    rivals = (other for other in of_side if not follow_each_other(listing, other))
    return turn.count((listing, *rivals)) == 1


def pair_by_names(listings: Iterable[Known], turn: Round) -> Iterator[Pair]:
    """Pair listings of different sides by symbol and name, slug or name tokens.

    A variant is paired with variants of its kind alone. Two listings that are one already are no
    namesakes of each other.
    """
    blocks: dict[Hashable, list[Known]] = defaultdict(list)
    for listing in listings:
        if listing.symbol_key:
            blocks[listing.symbol_key, listing.kinds].append(listing)
    for block in blocks.values():
        sides = _by_side(block)
        if len(sides) > 1:
            yield from _pair_block(block, sides, turn)


def pair_across_symbols(listings: Iterable[Known], turn: Round) -> Iterator[Pair]:
    """Pair listings of one name and one slug whose symbols differ, where each side has one.

    What only follows a coin is left out, and so is what contradicts itself: names that agree are
    then no question.
    """
    blocks: dict[str, list[Known]] = defaultdict(list)
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
            if turn.count(members) == 1
            for listing in members
            if listing.slug and listing.symbol_key
        ]
        for one, other in _each_pair(alone, turn):
            if one.symbol_key != other.symbol_key and one.slug == other.slug:
                pair = _object(Pair(one, other, "same name and slug"), symbol_is_shared=False)
                if not (pair.why and pair.differs_in_symbol_and_value):
                    yield pair


def _pair_block(block: Sequence[Known], sides: Sides, turn: Round) -> Iterator[Pair]:
    shared = set(_shared_sides(sides, turn))
    shared |= turn.crowded.get((block[0].symbol_key, block[0].kinds, ""), set())
    is_of_one_name = all(listing.name_key == block[0].name_key for listing in block)
    for ground, key in GROUNDS:
        if is_of_one_name and ground == "same but for common words":
            continue  # they share all that the name comes to
        for group in group_by(block, key).values():
            if len(group) > 1:
                yield from _pair_group(group, ground, turn, shared)
    if not is_of_one_name:
        yield from _pair_by_words(block, turn, shared)


def _pair_by_words(block: Sequence[Known], turn: Round, shared: set[str]) -> Iterator[Pair]:
    """Pair by a word that one listing alone of each side has, and that is not just the symbol."""
    by_word: dict[str, list[Known]] = defaultdict(list)
    for listing in block:
        for word in listing.words:
            by_word[word].append(listing)
    symbol = comparable_name(block[0].candidate.symbol, "")
    found = {}
    for word, holders in by_word.items():
        if len(holders) == 1:
            continue
        several = turn.crowded.get((block[0].symbol_key, block[0].kinds, word), set())
        if word == symbol:
            several = several | shared
        alone = [
            listing
            for side, members in _by_side(holders).items()
            if side not in several and turn.count(members) == 1
            for listing in members
        ]
        for one, other in _each_pair(alone, turn):
            relation = name_relation(one, other)
            if relation in {"one adds a common addition", "words in common"}:
                found[one.ref, other.ref] = Pair(one, other, relation)
    for pair in found.values():
        yield _object(pair, symbol_is_shared=False)


def _pair_group(
    group: Sequence[Known], ground: str, turn: Round, shared: set[str]
) -> Iterator[Pair]:
    """Pair what shares a key; in doubt, and only if few do, where a side has it twice."""
    sides = _by_side(group)
    crowded = _shared_sides(sides, turn)
    alone = [member for member in group if member.side not in crowded] if crowded else group
    for one, other in _each_pair(alone, turn):
        if ground == "same slug" or name_relation(one, other) == ground:
            is_shared = not shared.isdisjoint({one.side, other.side})
            yield _object(Pair(one, other, ground), symbol_is_shared=is_shared)
    if crowded:
        yield from _pair_namesakes(sides, crowded, ground, turn)


def _pair_namesakes(sides: Sides, crowded: Sides, ground: str, turn: Round) -> Iterator[Pair]:
    for side, members in crowded.items():
        if len(members) > MOST_NAMESAKES:
            continue
        for other_side, others in sides.items():
            if other_side == side or len(others) > MOST_NAMESAKES:
                continue
            if other_side in crowded and other_side < side:
                continue
            more = len(members) + len(others) - 2
            for member, other in product(members, others):
                one, two = sorted((member, other), key=_ref)
                if turn.is_about(one, two):
                    yield Pair(one, two, ground, "namesakes", more)


def _object(pair: Pair, *, symbol_is_shared: bool) -> Pair:
    pair.why = find_objection(pair, symbol_is_shared=symbol_is_shared)
    return pair


def _each_pair(listings: Sequence[Known], turn: Round) -> Iterator[tuple[Known, Known]]:
    ordered = sorted(listings, key=_ref)
    few = len(ordered) <= MOST_SIDES or len({each.side for each in ordered}) <= MOST_SIDES
    for one, other in combinations(ordered, 2) if few else pairwise(ordered):
        if one.side != other.side and turn.is_about(one, other):
            yield one, other


def group_by(items: Iterable[_Item], key: Callable[[_Item], str]) -> dict[str, list[_Item]]:
    """Group by a key, in the order in which they come; what has an empty one is in no group."""
    groups: dict[str, list[_Item]] = defaultdict(list)
    for item in items:
        if label := key(item):
            groups[label].append(item)
    return groups


def _shared_sides(sides: Sides, turn: Round) -> Sides:
    return {
        side: members
        for side, members in sides.items()
        if len(members) > 1 and turn.count(members) > 1
    }


def _by_side(listings: Iterable[Known]) -> Sides:
    return group_by(listings, attrgetter("side"))


_ref = attrgetter("ref")
