"""Listings that were called the same at one time: a rename at one source alone parts no coin."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import combinations

from worker.identity.resolver.evidence import Ref
from worker.identity.resolver.judging import FORMER_NAME, Pair, find_objection
from worker.identity.resolver.known import Known, name_relation
from worker.identity.resolver.pairing import MOST_NAMESAKES, MOST_SIDES, Root, group_by

LONG_ENOUGH = timedelta(days=1)
"""How long two must have been called the same at one time: a glitch of an hour makes no link."""
_OPEN_END = datetime.max.replace(tzinfo=UTC)
_ENOUGH = frozenset({"same name", "same but for common words"})


@dataclass(frozen=True, slots=True, eq=False)
class Spell:
    """The time in which a listing was called something; without end what it is called now."""

    listing: Known
    called: Known
    """The listing as it would be under that symbol and name."""
    since: datetime
    until: datetime

    @property
    def is_over(self) -> bool:
        """Whether the listing is called otherwise now."""
        return self.until < _OPEN_END


@dataclass(frozen=True, slots=True, eq=False)
class FormerPair:
    """Two listings that shared a name when one of them, at least, had another than today."""

    pair: Pair
    one: Spell
    other: Spell

    @property
    def since(self) -> datetime:
        """From when both had it, if ever at one time."""
        return max(self.one.since, self.other.since)

    @property
    def was_long(self) -> bool:
        return min(self.one.until, self.other.until) - self.since >= LONG_ENOUGH


def find_former_pairs(listings: Sequence[Known], root: Root) -> list[FormerPair]:
    """Pair listings of different sides by symbol and name that both were told under.

    It links where both were called so at one time, for a day at least, and where no other listing
    of the two sides was on the first day of that. What shared several names is paired by the first
    that links.
    """
    if all(len(listing.candidate.names) < 2 for listing in listings):  # noqa: PLR2004
        return []
    spells = [spell for listing in listings for spell in _spells(listing)]
    found: dict[tuple[Ref, Ref], FormerPair] = {}
    for of_symbol in group_by(spells, lambda spell: spell.called.symbol_key).values():
        by_side = group_by(of_symbol, _side)
        for group in group_by(of_symbol, lambda spell: spell.called.comparable).values():
            for former in _pair_group(group, by_side, root):
                refs = former.pair.one.ref, former.pair.other.ref
                found[refs] = min(found.get(refs, former), former, key=_preference)
    return list(found.values())


def _side(spell: Spell) -> str:
    return spell.listing.side


def find_former_namesakes(
    listing: Known, formers: Iterable[FormerPair]
) -> Iterator[tuple[Known, Known]]:
    """Find of whom a listing has the name that it came to: who left it, and who keeps to it.

    `LUNA`, after the old coin became `LUNC`, which another source still calls `LUNA`. No pair by
    names with the newcomer is sure while those two are one.
    """
    for former in formers:
        for left, kept in ((former.one, former.other), (former.other, former.one)):
            if (
                not former.pair.why
                and left.is_over
                and not kept.is_over
                and left.listing.side == listing.side
                and left.listing is not listing
                and left.called.comparable == listing.comparable
                and listing.called_since > former.since
            ):
                yield left.listing, kept.listing


def _pair_group(
    group: Sequence[Spell], of_symbol: Mapping[str, Sequence[Spell]], root: Root
) -> Iterator[FormerPair]:
    sides = group_by(group, _side).values()
    most = max(len({root(spell.listing) for spell in of_side}) for of_side in sides)
    if len(sides) > MOST_SIDES or most > MOST_NAMESAKES:
        return
    ordered = sorted(group, key=lambda spell: (spell.listing.ref, spell.since))
    for one, other in combinations(ordered, 2):
        is_former = one.is_over or other.is_over
        if not is_former or one.listing.side == other.listing.side:
            continue
        if one.called.kinds != other.called.kinds or one.listing.kinds != other.listing.kinds:
            continue
        relation = name_relation(one.called, other.called)
        if relation not in _ENOUGH:
            continue
        was = one.called.candidate
        pair = Pair(one.listing, other.listing, FORMER_NAME, was=(was.symbol, was.name))
        found = FormerPair(pair, one, other)
        why: str | None = "not_a_day_at_once"
        if found.was_long:
            of_sides = (*of_symbol[one.listing.side], *of_symbol[other.listing.side])
            why = find_objection(
                Pair(one.called, other.called, relation),
                symbol_is_shared=_has_rival(of_sides, found, root),
            )
        if _has_rival(group, found, root):
            why = "namesakes"
        yield replace(found, pair=replace(pair, why=why))


def _has_rival(spells: Iterable[Spell], former: FormerPair, root: Root) -> bool:
    """Say whether a further listing of the two sides was called so when they came to be.

    On the first day of it: clocks and turns differ by minutes, and who comes later is a newcomer.
    """
    one, other = former.one, former.other
    own = {one.listing.side: root(one.listing), other.listing.side: root(other.listing)}
    first_day_ends = min(one.until, other.until, former.since + LONG_ENOUGH)
    return any(
        root(spell.listing) != own.get(spell.listing.side, root(spell.listing))
        for spell in spells
        if spell.since < first_day_ends and spell.until > former.since
    )


def _spells(listing: Known) -> Iterator[Spell]:
    """Tell from when to when it was called what, but for what it had in between and gave up again.

    Of a name only the first time is known, so when that ended is not. Spellings that are compared
    as one, such as in capitals, are one name.
    """
    candidate = listing.candidate
    first: dict[tuple[str, str], tuple[datetime, Known]] = {}
    for name in sorted(candidate.names, key=lambda name: (name.since, name.symbol, name.name)):
        called = Known(replace(candidate, symbol=name.symbol, name=name.name), listing.prices)
        first.setdefault((called.symbol_key, called.name_key), (name.since, called))
    present = listing.symbol_key, listing.name_key
    first.setdefault(present, (candidate.observed_at, listing))
    for key, (since, called) in first.items():
        later = (other for other, _ in first.values() if other > since)
        until = _OPEN_END if key == present else min(later, default=None)
        if until:
            yield Spell(listing, called, since, until)


def _preference(former: FormerPair) -> tuple[object, ...]:
    return former.pair.why is not None, former.since, former.pair.why or "", former.pair.was
