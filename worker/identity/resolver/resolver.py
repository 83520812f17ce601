"""Decides which listings are one asset.

In: listings and rulings. Out: clusters (one per asset) and matches (links and reviews); see
`evidence.py`. It is pure: the same input gives the same result, in any order.

The input must be closed: if it has a listing, it has every listing that shares a name, a present or
former symbol, a contract or a ruling with it. Each part of the input is decided separately.
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

FORMER_NAMESAKE = "former_namesake"
"""The reason for a review of a contested pair."""


def resolve(
    candidates: Sequence[Candidate],
    rulings: Sequence[Ruling],
    prices: PriceComparison = compare_newest_prices,
) -> Resolution:
    """Join listings by evidence, the strongest first.

    Each listing is in exactly one cluster. The matches are one for each linked pair, and one review
    for each two clusters that need one. No cluster contains two listings that a ruling keeps apart.
    If a correction and a crosswalk disagree on a pair, the correction counts. `prices` is the only
    comparison of prices.

    Listings that are still at their source are compared first. A delisted one is then compared with
    all that were not delisted before it. So it keeps its links, and does not make present names
    ambiguous.
    """
    return combine(resolve_part(part) for part in divide(candidates, rulings, prices))


def divide(
    candidates: Iterable[Candidate],
    rulings: Sequence[Ruling],
    prices: PriceComparison,
    witnesses: Iterable[Candidate] = (),
) -> list[Part]:
    """Divide a closed set of listings into parts that can be decided separately.

    `candidates` may leave out listings of a crowd; `witnesses` then show which sides are ambiguous.
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
    by_ref = {listing.ref: listing for listing in listings}
    must_link, must_not_link = _settle_rulings(part.rulings, by_ref)
    clusters = Clusters(listings, must_not_link)
    outcomes = _Outcomes(clusters)
    outcomes.take(must_link)
    not_pending = [listing for listing in listings if not listing.candidate.is_pending]
    listed = [listing for listing in not_pending if not listing.is_delisted]
    scope = Scope(clusters.number, part.ambiguous)
    _take_evidence(outcomes, clusters, scope, listed, listed)
    for delisted, others in find_contemporaries(not_pending):
        outcomes.start_round(delisted)
        namesakes = without_newcomers(delisted, others)
        scope = Scope(clusters.number, part.ambiguous, delisted)
        _take_evidence(outcomes, clusters, scope, others, namesakes)
    linked, reviewed = [], []
    for pair, why in outcomes.by_refs.values():
        if clusters.of(pair.one) is clusters.of(pair.other):
            linked.append(pair.to_match(None))
        elif why and why != "better_match" and not clusters.is_settled(pair):
            reviewed.append((pair, why))
    return Resolution(
        clusters=[cluster.ids for cluster in clusters.all()],
        matches=[*linked, *_one_review_per_cluster_pair(reviewed, clusters)],
    )


def _take_evidence(
    outcomes: "_Outcomes",
    clusters: Clusters,
    scope: Scope,
    listings: Sequence[Listing],
    namesakes: Sequence[Listing],
) -> None:
    """Join `listings` by contract, and `namesakes` (a subset) by name."""
    outcomes.take(pair_by_contract(listings, scope))
    formers = find_former_pairs(namesakes, scope.root)
    contested = _ContestedPairs(formers)
    outcomes.take(contested.mark(pair_by_names(namesakes, scope)))
    outcomes.take(contested.mark(pair_across_symbols(namesakes, scope)))
    outcomes.take(former.pair for former in formers)
    outcomes.take(contested.settle(clusters))


class _Outcomes:
    """Joins clusters by pairs, and records the outcome for each two listings."""

    def __init__(self, clusters: Clusters) -> None:
        self.by_refs: dict[tuple[Ref, Ref], tuple[Pair, str | None]] = {}
        """For each two listings: the pair that counts, and the reason against linking it (None:
        linked). The first pair that links them counts; without one, the first pair."""
        self._clusters = clusters
        self.start_round(None)

    def start_round(self, judged: Listing | None) -> None:
        """Take only pairs of the `judged` listing from now on, or all if it is None."""
        self._judged = judged
        self._partners: dict[tuple[Ref, str], tuple[int, set[Ref]]] = {}
        """(listing, side) -> the rank of the strongest ground by present names or ids, and the
        listing's partners of that side by that ground."""
        self._present: dict[tuple[Ref, str], set[Ref]] = defaultdict(set)
        """(listing, side) -> partners by a ground stronger than `FORMER_NAME`, contested pairs
        excluded."""

    def take(self, pairs: Iterable[Pair]) -> None:
        taken = list(pairs)
        if self._judged:
            taken = [pair for pair in taken if self._judged in {pair.one, pair.other}]
        if len(taken) > 1:
            taken.sort(key=_strength)
        for pair in taken:
            is_rival = self._note_partners(pair)
            why = pair.why or ("better_match" if is_rival else self._clusters.join(pair))
            refs = pair.one.ref, pair.other.ref
            outcome = self.by_refs.get(refs)
            if outcome is None or (outcome[1] and not why):
                self.by_refs[refs] = pair, why

    def _note_partners(self, pair: Pair) -> bool:
        """Record the ground of a pair; return whether it has a rival.

        It has one if a stronger ground already pairs one of the two with another listing of that
        side, even if only as a review. Example: if a listing has two namesakes at the other source,
        its name raises two reviews. Its slug may decide between the two, but not for a third.
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
            if rank < RANKS[FORMER_NAME] and pair.why != FORMER_NAMESAKE:
                self._present[one.ref, other.side].add(other.ref)
        return is_rival

    def _is_outweighed(self, pair: Pair) -> bool:
        """Return whether a present name pairs one of the two with another listing of that side."""
        return any(
            self._present[one.ref, other.side] - {other.ref}
            for one, other in ((pair.one, pair.other), (pair.other, pair.one))
        )


class _ContestedPairs:
    """Pairs by a name that a listing took over from another listing of its side.

    Such a pair is linked only if the listing that gave up the name is in another cluster than the
    listing that uses it at the other source. `find_former_namesakes` has an example.
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
        """Yield all pairs; those that a former name contests become reviews.

        A pair is not contested if its prices or supplies agree.
        """
        if not self._formers:
            yield from pairs
            return
        for pair in pairs:
            if namesakes := [] if pair.why else self._find_namesakes(pair):
                self._pairs.append((pair, namesakes))
                yield replace(pair, why=FORMER_NAMESAKE)
            else:
                yield pair

    def settle(self, clusters: Clusters) -> Iterator[Pair]:
        """Yield the contested pairs that can be linked."""
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
    """Return the pairs that rulings link, and the refs of those that they keep apart.

    Of several rulings on a pair, corrections outrank crosswalks, then "apart" outranks "same".
    """
    settled: dict[tuple[Ref, Ref], Ruling] = {}
    for ruling in sorted(rulings, key=lambda ruling: (ruling.origin != "correction", ruling.same)):
        one, other = sorted((ruling.one, ruling.other))
        if one != other and one in listings and other in listings:
            settled.setdefault((one, other), ruling)
    must_link = [
        Pair(listings[one], listings[other], ruling.origin)
        for (one, other), ruling in settled.items()
        if ruling.same
    ]
    return must_link, {pair for pair, ruling in settled.items() if not ruling.same}


def _strength(pair: Pair) -> tuple[object, ...]:
    return RANKS[pair.ground], pair.why is not None, pair.doubt, pair.one.ref, pair.other.ref


def _one_review_per_cluster_pair(
    reviewed: Sequence[tuple[Pair, str]], clusters: Clusters
) -> list[Match]:
    """Return the review of the strongest pair of each two clusters."""
    strongest: dict[frozenset[int], Match] = {}
    for pair, why in sorted(reviewed, key=lambda entry: _strength(entry[0])):
        asked = frozenset((clusters.number(pair.one), clusters.number(pair.other)))
        strongest.setdefault(asked, pair.to_match(why))
    return list(strongest.values())
