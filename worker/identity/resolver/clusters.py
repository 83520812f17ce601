"""Clusters of listings, joined by pairs, and the reasons that prevent a join."""

from collections.abc import Collection, Iterable, Sequence
from itertools import product

from worker.identity.resolver.evidence import Ref
from worker.identity.resolver.judging import Pair, compare_values
from worker.identity.resolver.listing import Listing, contract_relation
from worker.identity.resolver.succession import is_succession

RULED = frozenset({"correction", "crosswalk"})
BY_IDENTIFIER = RULED | {"contract"}


class Cluster:
    """Listings that are one asset."""

    def __init__(self, number: int, listing: Listing) -> None:
        self.number = number
        self.members = [listing]
        self.sides = {listing.side}
        self.contracts = listing.candidate.contracts
        self.apart: set[int] = set()
        """Numbers of the clusters from which a ruling keeps it apart."""

    @property
    def ids(self) -> frozenset[int]:
        return frozenset(member.candidate.listing_id for member in self.members)

    def conflicts_with(self, other: "Cluster") -> bool:
        """Return whether a side has listings in both that did not replace each other."""
        members = (*self.members, *other.members)
        return any(
            not is_succession([member for member in members if member.side == side])
            for side in self.sides & other.sides
        )


class Clusters:
    def __init__(self, listings: Sequence[Listing], apart: Collection[tuple[Ref, Ref]]) -> None:
        self._of = {listing.ref: Cluster(n, listing) for n, listing in enumerate(listings)}
        self._by_number = {cluster.number: cluster for cluster in self._of.values()}
        for one, other in apart:
            self._of[one].apart.add(self._of[other].number)
            self._of[other].apart.add(self._of[one].number)

    def of(self, listing: Listing) -> Cluster:
        return self._of[listing.ref]

    def number(self, listing: Listing) -> int:
        """Return the number of the listing's cluster, which changes with joins."""
        return self._of[listing.ref].number

    def all(self) -> Iterable[Cluster]:
        return self._by_number.values()

    def are_apart(self, pair: Pair) -> bool:
        """Return whether a ruling keeps the clusters of the two listings apart."""
        return self.of(pair.other).number in self.of(pair.one).apart

    def is_settled(self, pair: Pair) -> bool:
        """Return whether an unlinked pair needs no review because a ruling or link answers it."""
        one, other = self.of(pair.one), self.of(pair.other)
        if self.are_apart(pair):
            return True
        if pair.one.side == pair.other.side:
            return pair.one.kinds != pair.other.kinds
        return one.conflicts_with(other)

    def join(self, pair: Pair) -> str | None:
        """Join the clusters of a pair; return the reason that prevents it, or None."""
        one, other = self.of(pair.one), self.of(pair.other)
        if one is other:
            return None
        if why := _find_obstacle(one, other, pair):
            return why
        if len(one.members) < len(other.members):
            one, other = other, one
        one.members += other.members
        one.sides |= other.sides
        one.contracts |= other.contracts
        for number in other.apart:
            kept_apart = self._by_number[number]
            kept_apart.apart.discard(other.number)
            kept_apart.apart.add(one.number)
        one.apart |= other.apart
        for member in other.members:
            self._of[member.ref] = one
        del self._by_number[other.number]
        return None


def _find_obstacle(one: Cluster, other: Cluster, pair: Pair) -> str | None:
    if other.number in one.apart:
        return "ruled_apart"
    if pair.ground in RULED:
        return None
    reasons = {
        "same_source": one.conflicts_with(other),
        "contracts_differ": contract_relation(one.contracts, other.contracts) == "different",
        "prices_differ": pair.ground not in BY_IDENTIFIER and _prices_differ(one, other),
    }
    return next((why for why, holds in reasons.items() if holds), None)


def _prices_differ(one: Cluster, other: Cluster) -> bool:
    """Return whether a price differs, and neither a price nor a supply agrees."""
    accords = set()
    for mine, its in product(one.members, other.members):
        accords.add(mine.compare_prices(its).accord)
        lesser, greater = (mine, its) if mine.ref < its.ref else (its, mine)
        if compare_values(lesser, greater)["supplies"] == "agree":
            return False
    return "differ" in accords and "agree" not in accords
