"""Which listings are one asset: from listings and what people ruled to clusters and matches.

Pure: the same set of listings and rulings gives the same answer, in any order, at any time. It is
asked about closed sets: with a listing come all that share its name, a symbol that it has or had,
a contract or a ruling. Of those, each part that hangs together is decided on by itself.
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
from worker.identity.resolver.known import Known
from worker.identity.resolver.pairing import (
    Round,
    pair_across_symbols,
    pair_by_contract,
    pair_by_names,
)
from worker.identity.resolver.parts.parts import Part, find_parts
from worker.identity.resolver.succession import find_surroundings, without_newcomers

CONTESTED = "former_namesake"


def resolve(
    candidates: Sequence[Candidate],
    rulings: Sequence[Ruling],
    prices: PriceComparison = compare_newest_prices,
) -> Resolution:
    """Join listings on evidence, the strongest first, and say of each pair why or why not.

    Each listing is in just one cluster. No cluster joins what a ruling keeps apart, unless a
    correction overrules a crosswalk on that very pair. The answer depends on no price but by what
    `prices` says of the pairs that it is asked about.

    Listings that are listed are judged among themselves first. Then each delisted one is judged
    among those that were listed when it was: so it keeps its links, and is in the way of no other.
    """
    return combine(resolve_part(part) for part in part_candidates(candidates, rulings, prices))


def part_candidates(
    candidates: Iterable[Candidate],
    rulings: Sequence[Ruling],
    prices: PriceComparison,
    witnesses: Iterable[Candidate] = (),
) -> list[Part]:
    """Part a closed set of listings into those that can be decided on by themselves.

    It is closed too if all others of crowds are left out but for `witnesses`: see `crowds`.
    """
    listings = [Known(candidate, prices) for candidate in candidates]
    listings.sort(key=lambda known: known.ref)
    return find_parts(listings, rulings, [Known(each, prices) for each in witnesses])


def combine(resolutions: Iterable[Resolution]) -> Resolution:
    """Make one of the resolutions of all parts."""
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
    turn = Round(clusters.number, part.crowded)
    _take_evidence(outcomes, clusters, turn, listed, listed)
    for delisted, others in find_surroundings(compared):
        outcomes.start_round(delisted)
        namesakes = without_newcomers(delisted, others)
        turn = Round(clusters.number, part.crowded, delisted)
        _take_evidence(outcomes, clusters, turn, others, namesakes)
    linked, doubted = [], []
    for pair, why in outcomes.of.values():
        if clusters.of(pair.one) is clusters.of(pair.other):
            linked.append(pair.to_match(None))
        elif why and why != "better_match" and not clusters.settled(pair):
            doubted.append((pair, why))
    return Resolution(
        clusters=[cluster.ids for cluster in clusters.all()],
        matches=[*linked, *_one_for_two_clusters(doubted, clusters)],
    )


def _take_evidence(
    outcomes: "_Outcomes",
    clusters: Clusters,
    turn: Round,
    listings: Sequence[Known],
    namesakes: Sequence[Known],
) -> None:
    """Join by contracts among the `listings`, and by names among those that may be `namesakes`."""
    outcomes.take(pair_by_contract(listings, turn))
    formers = find_former_pairs(namesakes, turn.root)
    contested = _Contested(formers)
    outcomes.take(contested.mark(pair_by_names(namesakes, turn)))
    outcomes.take(contested.mark(pair_across_symbols(namesakes, turn)))
    outcomes.take(former.pair for former in formers)
    outcomes.take(contested.settle(clusters))


class _Outcomes:
    """What came of each pair: by which ground it is linked, or the strongest that is in doubt."""

    def __init__(self, clusters: Clusters) -> None:
        self.of: dict[tuple[Ref, Ref], tuple[Pair, str | None]] = {}
        self._clusters = clusters
        self.start_round(None)

    def start_round(self, judged: Known | None) -> None:
        """From now on take only pairs of the one that is `judged`, if any."""
        self._judged = judged
        self._partners: dict[tuple[Ref, str], tuple[int, set[Ref]]] = {}
        self._present: dict[tuple[Ref, str], set[Ref]] = defaultdict(set)
        """With whom of a side a listing came up by what both are called now, and not weakly."""

    def take(self, pairs: Iterable[Pair]) -> None:
        taken = list(pairs)
        if self._judged:
            taken = [pair for pair in taken if self._judged in {pair.one, pair.other}]
        if len(taken) > 1:
            taken.sort(key=_strength)
        for pair in taken:
            is_rival = self._note_partners(pair)
            why = pair.why or ("better_match" if is_rival else self._clusters.join(pair))
            known = self.of.get((pair.one.ref, pair.other.ref))
            if known is None or (known[1] and not why):
                self.of[pair.one.ref, pair.other.ref] = pair, why

    def _note_partners(self, pair: Pair) -> bool:
        """Note on what ground two listings came up; say if a stronger one points elsewhere.

        Even if that one is in doubt: a slug decides no more than between those of the same name.
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
        """Say if what one of the two is called now points elsewhere, be it in doubt."""
        return any(
            self._present[one.ref, other.side] - {other.ref}
            for one, other in ((pair.one, pair.other), (pair.other, pair.one))
        )


class _Contested:
    """Pairs by names of which one listing came to a name that was another's: its coin's too?"""

    def __init__(self, formers: Sequence[FormerPair]) -> None:
        self._formers: dict[tuple[str, str, str], list[FormerPair]] = defaultdict(list)
        for former in formers:
            for spell in (former.one, former.other):
                called = spell.called
                key = called.symbol_key, called.comparable, spell.listing.side
                self._formers[key].append(former)
        self._pairs: list[tuple[Pair, list[tuple[Known, Known]]]] = []

    def mark(self, pairs: Iterable[Pair]) -> Iterator[Pair]:
        """Put in doubt, for now, those that a former name contests.

        Not where a price or a supply says that the two are right.
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
        """Yield those that nothing contests any more: who left the name is not who keeps to it."""
        for pair, namesakes in self._pairs:
            if all(clusters.of(left) is not clusters.of(kept) for left, kept in namesakes):
                yield pair

    def _find_namesakes(self, pair: Pair) -> list[tuple[Known, Known]]:
        found = [
            namesakes
            for listing in (pair.one, pair.other)
            if (formers := self._formers.get(_key(listing)))
            for namesakes in find_former_namesakes(listing, formers)
        ]
        if found and "agree" in {pair.agreement["prices"], pair.agreement["supplies"]}:
            return []
        return found


def _key(listing: Known) -> tuple[str, str, str]:
    return listing.symbol_key, listing.comparable, listing.side


def _settle_rulings(
    rulings: Sequence[Ruling], known: dict[Ref, Known]
) -> tuple[list[Pair], set[tuple[Ref, Ref]]]:
    """Of each pair of listings take what was ruled: corrections outrank crosswalks, apart same."""
    settled: dict[tuple[Ref, Ref], Ruling] = {}
    for ruling in sorted(rulings, key=lambda ruling: (ruling.origin != "correction", ruling.same)):
        one, other = sorted((ruling.one, ruling.other))
        if one != other and one in known and other in known:
            settled.setdefault((one, other), ruling)
    same = [
        Pair(known[one], known[other], ruling.origin)
        for (one, other), ruling in settled.items()
        if ruling.same
    ]
    return same, {pair for pair, ruling in settled.items() if not ruling.same}


def _strength(pair: Pair) -> tuple[object, ...]:
    return RANKS[pair.ground], pair.why is not None, pair.doubt, pair.one.ref, pair.other.ref


def _one_for_two_clusters(doubted: Sequence[tuple[Pair, str]], clusters: Clusters) -> list[Match]:
    """Ask about two clusters once, by their strongest pair."""
    strongest: dict[frozenset[int], Match] = {}
    for pair, why in sorted(doubted, key=lambda entry: _strength(entry[0])):
        asked = frozenset((clusters.number(pair.one), clusters.number(pair.other)))
        strongest.setdefault(asked, pair.to_match(why))
    return list(strongest.values())
