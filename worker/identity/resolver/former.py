"""Links by former names: a rename at only one source does not separate a coin."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import combinations

from worker.identity.resolver.evidence import Ref
from worker.identity.resolver.judging import FORMER_NAME, Pair, find_objection
from worker.identity.resolver.listing import Listing, name_relation
from worker.identity.resolver.pairing import MOST_NAMESAKES, MOST_SIDES, Root, group_by

LONG_ENOUGH = timedelta(days=1)
"""Minimum time for which both listings had the name: an error of an hour makes no link."""
_OPEN_END = datetime.max.replace(tzinfo=UTC)
_ENOUGH = frozenset({"same name", "same but for common words"})


@dataclass(frozen=True, slots=True, eq=False)
class NamePeriod:
    """The period in which a listing had a symbol and name; the present one has no end."""

    listing: Listing
    named: Listing
    """The listing with that symbol and name instead of its present ones."""
    since: datetime
    until: datetime

    @property
    def is_over(self) -> bool:
        """Whether the listing has another symbol or name now."""
        return self.until < _OPEN_END


@dataclass(frozen=True, slots=True, eq=False)
class FormerPair:
    """Two listings that have or had the same symbol and name, one of them formerly."""

    pair: Pair
    one: NamePeriod
    other: NamePeriod

    @property
    def since(self) -> datetime:
        """The time since which both had it, if they had it at the same time."""
        return max(self.one.since, self.other.since)

    @property
    def was_long(self) -> bool:
        return min(self.one.until, self.other.until) - self.since >= LONG_ENOUGH


def find_former_pairs(listings: Sequence[Listing], root: Root) -> list[FormerPair]:
    """Pair listings of different sides that had the same symbol and name.

    A pair links if both had them at the same time for at least a day, and no other listing of the
    two sides had them on the first of these days. Of several names, the first that links counts.
    """
    if all(len(listing.candidate.names) < 2 for listing in listings):  # noqa: PLR2004
        return []
    periods = [period for listing in listings for period in _name_periods(listing)]
    found: dict[tuple[Ref, Ref], FormerPair] = {}
    for of_symbol in group_by(periods, lambda period: period.named.symbol_key).values():
        by_side = group_by(of_symbol, _side)
        for group in group_by(of_symbol, lambda period: period.named.comparable).values():
            for former in _pair_group(group, by_side, root):
                refs = former.pair.one.ref, former.pair.other.ref
                found[refs] = min(found.get(refs, former), former, key=_preference)
    return list(found.values())


def _side(period: NamePeriod) -> str:
    return period.listing.side


def find_former_namesakes(
    listing: Listing, formers: Iterable[FormerPair]
) -> Iterator[tuple[Listing, Listing]]:
    """Find the pairs in which a listing of this side left the name, and the other one kept it.

    Example: `LUNA`, after the old coin was renamed to `LUNC` while another source still calls it
    `LUNA`. While those two are one asset, no pair of the new `LUNA` by names is certain.
    """
    for former in formers:
        for left, kept in ((former.one, former.other), (former.other, former.one)):
            if (
                not former.pair.why
                and left.is_over
                and not kept.is_over
                and left.listing.side == listing.side
                and left.listing is not listing
                and left.named.comparable == listing.comparable
                and listing.labelled_since > former.since
            ):
                yield left.listing, kept.listing


def _pair_group(
    group: Sequence[NamePeriod], of_symbol: Mapping[str, Sequence[NamePeriod]], root: Root
) -> Iterator[FormerPair]:
    sides = group_by(group, _side).values()
    most = max(len({root(period.listing) for period in of_side}) for of_side in sides)
    if len(sides) > MOST_SIDES or most > MOST_NAMESAKES:
        return
    ordered = sorted(group, key=lambda period: (period.listing.ref, period.since))
    for one, other in combinations(ordered, 2):
        is_former = one.is_over or other.is_over
        if not is_former or one.listing.side == other.listing.side:
            continue
        if one.named.kinds != other.named.kinds or one.listing.kinds != other.listing.kinds:
            continue
        relation = name_relation(one.named, other.named)
        if relation not in _ENOUGH:
            continue
        was = one.named.candidate
        pair = Pair(one.listing, other.listing, FORMER_NAME, was=(was.symbol, was.name))
        found = FormerPair(pair, one, other)
        why: str | None = "not_a_day_at_once"
        if found.was_long:
            of_sides = (*of_symbol[one.listing.side], *of_symbol[other.listing.side])
            why = find_objection(
                Pair(one.named, other.named, relation),
                symbol_is_shared=_has_rival(of_sides, found, root),
            )
        if _has_rival(group, found, root):
            why = "namesakes"
        yield replace(found, pair=replace(pair, why=why))


def _has_rival(periods: Iterable[NamePeriod], former: FormerPair, root: Root) -> bool:
    """Return whether another listing of the two sides had the name when both first had it.

    The first day counts, because sources are read at different minutes. A later one is a newcomer.
    """
    one, other = former.one, former.other
    own = {one.listing.side: root(one.listing), other.listing.side: root(other.listing)}
    first_day_ends = min(one.until, other.until, former.since + LONG_ENOUGH)
    return any(
        root(period.listing) != own.get(period.listing.side, root(period.listing))
        for period in periods
        if period.since < first_day_ends and period.until > former.since
    )


def _name_periods(listing: Listing) -> Iterator[NamePeriod]:
    """Yield the periods of a listing's names, without names that it had had before.

    Only the first time of each name is stored, so the end of a repeated period is not known. Names
    that differ only in spelling, such as capitals, are one name.
    """
    candidate = listing.candidate
    first: dict[tuple[str, str], tuple[datetime, Listing]] = {}
    for name in sorted(candidate.names, key=lambda name: (name.since, name.symbol, name.name)):
        named = Listing(replace(candidate, symbol=name.symbol, name=name.name), listing.prices)
        first.setdefault((named.symbol_key, named.name_key), (name.since, named))
    present = listing.symbol_key, listing.name_key
    first.setdefault(present, (candidate.observed_at, listing))
    for key, (since, named) in first.items():
        later = (other for other, _ in first.values() if other > since)
        until = _OPEN_END if key == present else min(later, default=None)
        if until:
            yield NamePeriod(listing, named, since, until)


def _preference(former: FormerPair) -> tuple[object, ...]:
    return former.pair.why is not None, former.since, former.pair.why or "", former.pair.was
