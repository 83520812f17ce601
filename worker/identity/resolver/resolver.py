"""The resolver: from listings and rulings to clusters and matches.

It is pure: the same listings and rulings give the same result, in any order. It expects a closed
set: with each listing, all that share its name, a present or former symbol, a contract or a ruling.
Each part of the set is decided separately.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from worker.identity.resolver.clusters import BY_IDENTIFIER, Clusters
from worker.identity.resolver.corroboration import PriceComparison, compare_newest_prices
from worker.identity.resolver.evidence import Candidate, Match, Ref, Resolution, Ruling
from worker.identity.resolver.former import (
    FormerPair,
    find_former_namesakes,
    find_former_pairs,
)
from worker.identity.resolver.judging import FORMER_NAME, RANKS, Pair
from worker.identity.resolver.listing import Listing
from worker.identity.resolver.pairing import (
    Scope,
    pair_across_symbols,
    pair_by_contract,
    pair_by_names,
)
from worker.identity.resolver.parts.parts import Part, find_parts
from worker.identity.resolver.succession import find_contemporaries, without_newcomers

CONTESTED = "former_namesake"


def resolve(
    candidates: Sequence[Candidate],
    rulings: Sequence[Ruling],
    prices: PriceComparison = compare_newest_prices,
) -> Resolution:
    """Join listings by evidence, the strongest first, and return a match for each relevant pair.

    Each listing is in exactly one cluster. No cluster contains two listings that a ruling keeps
    apart, unless a correction on the same pair overrules a crosswalk. Prices affect the result only
    through `prices`.

    Listed listings are compared with each other first. Then each delisted one is compared with
    those that were listed at its time. So it keeps its links and is not a namesake of others.
    """
    return combine(resolve_part(part) for part in divide(candidates, rulings, prices))


def divide(
    candidates: Iterable[Candidate],
    rulings: Sequence[Ruling],
    prices: PriceComparison,
    witnesses: Iterable[Candidate] = (),
) -> list[Part]:
    """Divide a closed set of listings into parts that can be decided separately.

    With `witnesses`, it may lack listings of crowds that do not affect the others.
    """
    listings = [Listing(candidate, prices) for candidate in candidates]
    listings.sort(key=lambda listing: listing.ref)
    return find_parts(listings, rulings, [Listing(each, prices) for each in witnesses])


def combine(resolutions: Iterable[Resolution]) -> Resolution:
    """Combine the resolutions of all parts."""
    clusters: list[frozenset[int]] = []
    matches: list[Match] = []
    for resolution in resolutions:
        clusters += resolution.clusters
        matches += resolution.matches
    return Resolution(clusters, matches)


def resolve_part(part: Part) -> Resolution:
    listings = part.listings
    if len(listings) == 1:
        return Resolution([frozenset({listings[0].candidate.listing_id})], [])
    same, apart = _settle_rulings(part.rulings, {listing.ref: listing for listing in listings})
    clusters = Clusters(listings, apart)
    outcomes = _Outcomes(clusters)
    outcomes.take(same)
    compared = [listing for listing in listings if not listing.candidate.is_pending]
    listed = [listing for listing in compared if not listing.is_delisted]
    scope = Scope(clusters.number, part.ambiguous)
    _take_evidence(outcomes, clusters, scope, listed, listed)
    for delisted, others in find_contemporaries(compared):
        outcomes.start_round(delisted)
        namesakes = without_newcomers(delisted, others)
        scope = Scope(clusters.number, part.ambiguous, delisted)
        _take_evidence(outcomes, clusters, scope, others, namesakes)
    linked, reviewed = [], []
    for pair, why in outcomes.of.values():
        if clusters.of(pair.one) is clusters.of(pair.other):
            linked.append(pair.to_match(None))
        elif why and why != "better_match" and not clusters.is_settled(pair):
            reviewed.append((pair, why))
    return Resolution(
        clusters=[cluster.ids for cluster in clusters.all()],
        matches=[*linked, *_one_for_two_clusters(reviewed, clusters)],
    )


def _take_evidence(
    outcomes: "_Outcomes",
    clusters: Clusters,
    scope: Scope,
    listings: Sequence[Listing],
    namesakes: Sequence[Listing],
) -> None:
    """Join `listings` by contracts, and those among them that are `namesakes` by names."""
    outcomes.take(pair_by_contract(listings, scope))
    formers = find_former_pairs(namesakes, scope.root)
    contested = _ContestedPairs(formers)
    outcomes.take(contested.mark(pair_by_names(namesakes, scope)))
    outcomes.take(contested.mark(pair_across_symbols(namesakes, scope)))
    outcomes.take(former.pair for former in formers)
    outcomes.take(contested.settle(clusters))


class _Outcomes:
    """The outcome of each pair: the ground of its link, or its strongest ground for a review."""

    def __init__(self, clusters: Clusters) -> None:
        self.of: dict[tuple[Ref, Ref], tuple[Pair, str | None]] = {}
        self._clusters = clusters
        self.start_round(None)

    def start_round(self, judged: Listing | None) -> None:
        """Take only pairs of the `judged` listing from now on, or all if it is None."""
        self._judged = judged
        self._partners: dict[tuple[Ref, str], tuple[int, set[Ref]]] = {}
        self._present: dict[tuple[Ref, str], set[Ref]] = defaultdict(set)
        """For a listing and a side, the listings it was paired with by present names, weak pairs
        excepted."""

    def take(self, pairs: Iterable[Pair]) -> None:
        taken = list(pairs)
        if self._judged:
            taken = [pair for pair in taken if self._judged in {pair.one, pair.other}]
        if len(taken) > 1:
            taken.sort(key=_strength)
        for pair in taken:
            is_rival = self._note_partners(pair)
            why = pair.why or ("better_match" if is_rival else self._clusters.join(pair))
            outcome = self.of.get((pair.one.ref, pair.other.ref))
            if outcome is None or (outcome[1] and not why):
                self.of[pair.one.ref, pair.other.ref] = pair, why

    def _note_partners(self, pair: Pair) -> bool:
        """Record the ground of a pair; return whether a stronger one pairs a listing elsewhere.

        A stronger ground counts even if it only raises a review: a slug only decides between
        listings of the same name.
        """
        is_rival = False
        rank = RANKS[pair.ground]
        if pair.ground in BY_IDENTIFIER or self._clusters.are_apart(pair):
            return False
        if pair.ground == FORMER_NAME:
            return self._is_outweighed(pair)
        for one, other in ((pair.one, pair.other), (pair.other, pair.one)):
            best, partners = self._partners.setdefault((one.ref, other.side), (rank, set()))
            if rank == best:
                partners.add(other.ref)
            elif other.ref not in partners:
                is_rival = True
            if rank < RANKS[FORMER_NAME] and pair.why != CONTESTED:
                self._present[one.ref, other.side].add(other.ref)
        return is_rival

    def _is_outweighed(self, pair: Pair) -> bool:
        """Return whether the present name of a listing pairs it elsewhere, even as a review."""
        return any(
            self._present[one.ref, other.side] - {other.ref}
            for one, other in ((pair.one, pair.other), (pair.other, pair.one))
        )


class _ContestedPairs:
    """Pairs by a name that a listing took over from another listing of its side.

    They are linked only if the listing that left the name is another coin than the one that still
    has it at the other source.
    """

    def __init__(self, former_pairs: Sequence[FormerPair]) -> None:
        self._formers: dict[tuple[str, str, str], list[FormerPair]] = defaultdict(list)
        for former in former_pairs:
            for period in (former.one, former.other):
                named = period.named
                key = named.symbol_key, named.comparable, period.listing.side
                self._formers[key].append(former)
        self._pairs: list[tuple[Pair, list[tuple[Listing, Listing]]]] = []

    def mark(self, pairs: Iterable[Pair]) -> Iterator[Pair]:
        """Return the pairs, with those as reviews that a former name contests.

        A pair is not contested if its prices or supplies agree.
        """
        if not self._formers:
            yield from pairs
            return
        for pair in pairs:
            if namesakes := [] if pair.why else self._find_namesakes(pair):
                self._pairs.append((pair, namesakes))
                yield replace(pair, why=CONTESTED)
            else:
                yield pair

    def settle(self, clusters: Clusters) -> Iterator[Pair]:
        """Yield the pairs for which the listing that left the name is another coin."""
        for pair, namesakes in self._pairs:
            if all(clusters.of(left) is not clusters.of(kept) for left, kept in namesakes):
                yield pair

    def _find_namesakes(self, pair: Pair) -> list[tuple[Listing, Listing]]:
        found = [
            namesakes
            for listing in (pair.one, pair.other)
            if (formers := self._formers.get(_key(listing)))
            for namesakes in find_former_namesakes(listing, formers)
        ]
        if found and "agree" in {pair.agreement["prices"], pair.agreement["supplies"]}:
            return []
        return found


def _key(listing: Listing) -> tuple[str, str, str]:
    return listing.symbol_key, listing.comparable, listing.side


def _settle_rulings(
    rulings: Sequence[Ruling], listings: dict[Ref, Listing]
) -> tuple[list[Pair], set[tuple[Ref, Ref]]]:
    """Return the pairs to link and those to keep apart.

    Of several rulings on a pair, corrections outrank crosswalks, then "apart" outranks "same".
    """
    settled: dict[tuple[Ref, Ref], Ruling] = {}
    for ruling in sorted(rulings, key=lambda ruling: (ruling.origin != "correction", ruling.same)):
        one, other = sorted((ruling.one, ruling.other))
        if one != other and one in listings and other in listings:
            settled.setdefault((one, other), ruling)
    same = [
        Pair(listings[one], listings[other], ruling.origin)
        for (one, other), ruling in settled.items()
        if ruling.same
    ]
    return same, {pair for pair, ruling in settled.items() if not ruling.same}


def _strength(pair: Pair) -> tuple[object, ...]:
    return RANKS[pair.ground], pair.why is not None, pair.doubt, pair.one.ref, pair.other.ref


def _one_for_two_clusters(reviewed: Sequence[tuple[Pair, str]], clusters: Clusters) -> list[Match]:
    """Return one review for each two clusters, of their strongest pair."""
    strongest: dict[frozenset[int], Match] = {}
    for pair, why in sorted(reviewed, key=lambda entry: _strength(entry[0])):
        asked = frozenset((clusters.number(pair.one), clusters.number(pair.other)))
        strongest.setdefault(asked, pair.to_match(why))
    return list(strongest.values())
