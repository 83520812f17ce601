"""Which pairs of listings are worth judging: those that share a key."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import combinations, pairwise
from typing import TypeVar

from worker.identity.resolver.judging import Pair, find_objection
from worker.identity.resolver.known import SOFT_WORDS, Known, name_relation
from worker.identity.resolver.labels.names import comparable_name
from worker.identity.resolver.succession import follow_each_other

MOST_NAMESAKES = 5
"""Where a source has more listings under one name and symbol, nobody could pick: no reviews."""
MOST_SIDES = 20
"""Of more sources, files' namespaces that is, each is compared with its neighbours only."""
MOST_SHARERS = 3
"""A contract that one source names for more listings is a placeholder, not a contract."""

_Item = TypeVar("_Item")

Root = Callable[[Known], int]
Sides = dict[str, list[Known]]


def pair_by_contract(listings: Iterable[Known], root: Root) -> Iterator[Pair]:
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
            alone = all(_is_alone(found, sides[found.side], root) for found in (one, other))
            yield Pair(one, other, "contract", why=_contract_objection(one, other, alone=alone))


def _contract_objection(one: Known, other: Known, *, alone: bool) -> str | None:
    if one.kinds != other.kinds:
        return "variant"
    if one.side == other.side and not follow_each_other(one, other):
        return "same_source"
    return None if alone else "contract_shared"


def _is_alone(listing: Known, of_side: Iterable[Known], root: Root) -> bool:
    """Say whether no other of its side has what it has, but what it replaced or was replaced by."""
    rivals = (other for other in of_side if not follow_each_other(listing, other))
    return len(_roots((listing, *rivals), root)) == 1


def pair_by_names(listings: Iterable[Known], root: Root) -> Iterator[Pair]:
    """Pair listings of different sides by symbol and name, slug or name tokens.

    A variant is paired with variants of its kind alone. Two listings that are one already, by
    `root`, are no namesakes of each other.
    """
    blocks: dict[Hashable, list[Known]] = defaultdict(list)
    for listing in listings:
        if listing.symbol_key:
            blocks[listing.symbol_key, listing.kinds].append(listing)
    for block in blocks.values():
        sides = _by_side(block)
        if len(sides) > 1:
            yield from _pair_block(block, sides, root)


def pair_across_symbols(listings: Iterable[Known], root: Root) -> Iterator[Pair]:
    """Pair listings of one name and one slug whose symbols differ, where each side has one.

    What only follows a coin is left out, and so is what contradicts itself: names that agree are
    then no question.
    """
    blocks: dict[str, list[Known]] = defaultdict(list)
    for listing in listings:
        if listing.name_key and not listing.kinds:
            blocks[listing.name_key].append(listing)
    for block in blocks.values():
        if len({listing.symbol_key for listing in block}) == 1:
            continue
        sides = _by_side(block)
        alone = [
            listing
            for members in sides.values()
            if len(_roots(members, root)) == 1
            for listing in members
            if listing.slug and listing.symbol_key
        ]
        for one, other in _each_pair(alone):
            if one.symbol_key != other.symbol_key and one.slug == other.slug:
                pair = _object(Pair(one, other, "same name and slug"), symbol_is_shared=False)
                if not (pair.why and pair.differs_in_symbol_and_value):
                    yield pair


def _pair_block(block: Sequence[Known], sides: Sides, root: Root) -> Iterator[Pair]:
    shared = {side for side, members in sides.items() if len(_roots(members, root)) > 1}
    for ground, key in (
        ("same name", lambda listing: listing.name_key),
        ("same but for common words", lambda listing: listing.comparable),
        ("same slug", lambda listing: listing.slug),
    ):
        for group in group_by(block, key).values():
            if len(group) > 1:
                yield from _pair_group(group, ground, root, shared)
    yield from _pair_by_tokens(block, root, shared)


def _pair_by_tokens(block: Sequence[Known], root: Root, shared: set[str]) -> Iterator[Pair]:
    """Pair by a word that one listing alone of each side has, and that is not just the symbol."""
    by_token: dict[str, list[Known]] = defaultdict(list)
    for listing in block:
        for token in listing.tokens - SOFT_WORDS:
            by_token[token].append(listing)
    symbol = comparable_name(block[0].candidate.symbol, "")
    found = {}
    for token, holders in by_token.items():
        sides = _by_side(holders)
        alone = [
            listing
            for side, members in sides.items()
            if len(_roots(members, root)) == 1 and (side not in shared or token != symbol)
            for listing in members
        ]
        for one, other in _each_pair(alone):
            relation = name_relation(one, other)
            if relation in {"one adds a common addition", "words in common"}:
                found[one.ref, other.ref] = Pair(one, other, relation)
    for pair in found.values():
        yield _object(pair, symbol_is_shared=False)


def _pair_group(
    group: Sequence[Known], ground: str, root: Root, shared: set[str]
) -> Iterator[Pair]:
    """Pair what shares a key; in doubt, and only if few do, where a side has it twice."""
    sides = _by_side(group)
    crowded = {side: members for side, members in sides.items() if len(_roots(members, root)) > 1}
    for one, other in _each_pair(
        [m for side in sides.keys() - crowded.keys() for m in sides[side]]
    ):
        if ground == "same slug" or name_relation(one, other) == ground:
            is_shared = not shared.isdisjoint({one.side, other.side})
            yield _object(Pair(one, other, ground), symbol_is_shared=is_shared)
    for side, members in crowded.items():
        if len(members) > MOST_NAMESAKES:
            continue
        for other_side, others in sides.items():
            if other_side == side or len(others) > MOST_NAMESAKES:
                continue
            if other_side in crowded and other_side < side:
                continue
            for member in members:
                for other in others:
                    one, two = sorted((member, other), key=_ref)
                    yield Pair(one, two, ground, "namesakes", len(members) + len(others) - 2)


def _object(pair: Pair, *, symbol_is_shared: bool) -> Pair:
    why = find_objection(pair, symbol_is_shared=symbol_is_shared)
    return Pair(pair.one, pair.other, pair.ground, why) if why else pair


def _each_pair(listings: Sequence[Known]) -> Iterator[tuple[Known, Known]]:
    ordered = sorted(listings, key=_ref)
    few = len({listing.side for listing in ordered}) <= MOST_SIDES
    for one, other in combinations(ordered, 2) if few else pairwise(ordered):
        if one.side != other.side:
            yield one, other


def group_by(items: Iterable[_Item], key: Callable[[_Item], str]) -> dict[str, list[_Item]]:
    """Group by a key, in the order in which they come; what has an empty one is in no group."""
    groups: dict[str, list[_Item]] = defaultdict(list)
    for item in items:
        if label := key(item):
            groups[label].append(item)
    return groups


def _roots(listings: Iterable[Known], root: Root) -> set[int]:
    return {root(listing) for listing in listings}


def _by_side(listings: Iterable[Known]) -> Sides:
    return group_by(listings, lambda listing: listing.side)


def _ref(listing: Known) -> tuple[str, str]:
    return listing.ref
