"""Which listing a slug stays with, whatever is joined and parted, in whatever order it came."""

from collections.abc import Collection, Iterable, Mapping
from itertools import permutations
from random import Random

import pytest
from sqlalchemy import Engine, select

from shared.schema.identity import corrections
from shared.schema.market import assets, listings
from tests.fakes.batches import COINGECKO, COINPAPRIKA, CSV, load, market, row, ticker
from worker.curation import corrections as deciding
from worker.curation.crosswalk import apply_crosswalk
from worker.curation.recording import Attribution, CorrectionError
from worker.identity.resolver.evidence import Ref
from worker.maintenance.reprocess import reprocess
from worker.maintenance.verify import verify

ANN = Attribution("ann", "same project, asked its team")
SOURCES = {
    "coingecko": (COINGECKO, market),
    "coinpaprika": (COINPAPRIKA, ticker),
    "csv": (CSV, row),
}

APOLLO = ("coingecko", "apollo")
APL = ("coinpaprika", "apl-apollo-currency")
SHEET = ("csv", "a")
COINS = {
    APOLLO: ("APL", "Apollo"),
    APL: ("APLC", "Apollo Currency"),
    SHEET: ("APOLLO", "The Moon Ship"),
}
ARRIVALS = [*permutations(COINS)]
SOME_ARRIVALS = [
    *ARRIVALS[:2],
    *(pytest.param(each, marks=pytest.mark.slow) for each in ARRIVALS[2:]),
]
ALONE = {APOLLO: "apollo", APL: "apollo-currency", SHEET: "the-moon-ship"}


def bring(engine: Engine, *refs: Ref, coins: Mapping[Ref, tuple[str, str]] = COINS) -> None:
    """Load listings of one source in one batch."""
    source, payload = SOURCES[refs[0][0]]
    load(engine, source, *(payload(ref[1], *coins[ref]) for ref in refs))


def write(engine: Engine, written: Mapping[Ref, str]) -> None:
    with engine.begin() as conn:
        apply_crosswalk(conn, written)


def members(engine: Engine) -> dict[str, set[Ref]]:
    """What each slug is of."""
    stmt = select(assets.c.slug, listings.c.source, listings.c.external_id)
    found: dict[str, set[Ref]] = {}
    with engine.connect() as conn:
        for slug, *ref in conn.execute(stmt.join(listings, listings.c.asset_id == assets.c.id)):
            found.setdefault(slug, set()).add(tuple(ref))
    return found


@pytest.mark.parametrize("arrival", SOME_ARRIVALS)
def test_a_crosswalk_that_comes_and_goes_leaves_each_its_slug(
    engine: Engine, arrival: tuple[Ref, ...]
):
    first, second, third = arrival
    for ref in arrival:
        bring(engine, ref)
    alone = {ALONE[ref]: {ref} for ref in arrival}
    assert members(engine) == alone

    for _ in range(2):
        write(engine, dict.fromkeys(arrival, "x"))
        assert members(engine) == {ALONE[first]: set(arrival)}
        write(engine, {second: "x", third: "x"})
        # Of those two none was an asset with the other before: it is either's slug.
        [slug] = members(engine).keys() & {ALONE[second], ALONE[third]}
        assert members(engine) == {ALONE[first]: {first}, slug: {second, third}}
        write(engine, {first: "x", third: "x"})
        assert members(engine) == {ALONE[first]: {first, third}, ALONE[second]: {second}}
        write(engine, {})
        assert members(engine) == alone
    assert not verify(engine).findings


def test_listings_that_leave_together_have_one_asset_whatever_the_plan(engine: Engine):
    bring(engine, APOLLO)
    bring(engine, APL)
    bring(engine, SHEET)
    with engine.connect() as conn:
        with conn.begin():
            apply_crosswalk(conn, dict.fromkeys(COINS, "x"))
        # The session's own tables are empty now, so that Postgres expects nested loops to be best.
        conn.exec_driver_sql("ANALYZE decisions")
        conn.commit()
        with conn.begin():
            apply_crosswalk(conn, {APL: "x", SHEET: "x"})
        conn.invalidate()  # the statistics go with the session

    assert {frozenset(refs) for refs in members(engine).values()} == {
        frozenset({APOLLO}),
        frozenset({APL, SHEET}),
    }
    assert not verify(engine).findings


@pytest.mark.parametrize("arrival", SOME_ARRIVALS)
def test_a_slug_that_the_crosswalk_named_stays_with_who_came_first(
    engine: Engine, arrival: tuple[Ref, ...]
):
    first, second, third = arrival
    write(engine, dict.fromkeys(arrival, "x"))
    for ref in arrival:
        bring(engine, ref)
    assert members(engine) == {"x": set(arrival)}

    for _ in range(2):
        write(engine, {})
        assert members(engine) == {"x": {first}, ALONE[second]: {second}, ALONE[third]: {third}}
        write(engine, dict.fromkeys(arrival, "y"))
        assert members(engine) == {"x": set(arrival)}
    assert not verify(engine).findings


def test_a_slug_goes_with_the_first_into_another_asset_and_not_to_who_joined(engine: Engine):
    bring(engine, SHEET)
    bring(engine, APL)
    write(engine, {APL: "x", APOLLO: "x"})
    bring(engine, APOLLO)

    write(engine, {SHEET: "x", APL: "x", APOLLO: "Apollo Currency"})
    assert members(engine) == {
        "the-moon-ship": {SHEET, APL},
        "apollo-currency~apollo": {APOLLO},
    }

    write(engine, {})
    assert members(engine) == {
        "the-moon-ship": {SHEET},
        "apollo-currency": {APL},
        "apollo-currency~apollo": {APOLLO},
    }
    assert not verify(engine).findings


def test_who_is_linked_away_and_brought_back_at_once_was_there_from_the_first(engine: Engine):
    bring(engine, SHEET)
    bring(engine, APL)
    bring(engine, APOLLO)
    write(engine, {SHEET: "x", APL: "x"})
    with engine.begin() as conn:
        decided = deciding.link(conn, SHEET, "apollo", ANN)
    assert members(engine) == {"the-moon-ship": {SHEET, APL, APOLLO}}

    write(engine, {})
    assert members(engine) == {"the-moon-ship": {SHEET, APOLLO}, "apollo-currency": {APL}}

    with engine.begin() as conn:
        deciding.undo(conn, decided.id, ANN)
    assert members(engine) == {slug: {ref} for ref, slug in ALONE.items()}


@pytest.mark.parametrize("what", ["link", "merge"])
def test_what_an_undo_takes_apart_has_its_slug_again(engine: Engine, what: str):
    """Also one that was not the coin's first choice, for a namesake had that."""
    paxos, other = ("coinpaprika", "usdp-paxos-standard"), ("coingecko", "1")
    coins = {paxos: ("PAX", "Apollo"), other: ("1", "Apollo")}
    bring(engine, APOLLO)
    bring(engine, paxos, coins=coins)
    bring(engine, other, coins=coins)
    before = members(engine)
    assert set(before) == {"apollo", "apollo~usdp-paxos-standard", "apollo~coingecko-1"}

    for ref in (paxos, other, paxos):
        slug = next(slug for slug, refs in before.items() if ref in refs)
        with engine.begin() as conn:
            if what == "link":
                decided = deciding.link(conn, ref, "apollo", ANN)
            else:
                decided = deciding.merge(conn, slug, "apollo", ANN)
        assert slug not in members(engine)
        with engine.begin() as conn:
            deciding.undo(conn, decided.id, ANN)
        assert members(engine) == before
    assert not verify(engine).findings


def test_of_several_that_an_undo_takes_out_the_first_has_its_slug_again(engine: Engine):
    bring(engine, APOLLO)
    bring(engine, SHEET)
    bring(engine, APL)
    write(engine, {SHEET: "x", APL: "x"})
    before = members(engine)
    assert before == {"apollo": {APOLLO}, "the-moon-ship": {SHEET, APL}}
    with engine.begin() as conn:
        decided = deciding.merge(conn, "the-moon-ship", "apollo", ANN)
    with engine.begin() as conn:
        deciding.undo(conn, decided.id, ANN)
    assert members(engine) == before

    write(engine, {})

    assert members(engine) == {slug: {ref} for ref, slug in ALONE.items()}


class Watched:
    """The slugs of a database, and since when each of its listings was under them."""

    def __init__(self) -> None:
        self.now: dict[str, dict[Ref, int]] = {}
        self.due: dict[str, set[Ref]] = {}
        """Slugs that are gone, and whom one could be of again."""
        self.step = 0

    def look(self, engine: Engine, taken_out: Collection[Ref]) -> Iterable[str]:
        """Say what went where it should not.

        From what a person takes out a slug may go to who came next, if that is not elsewhere too.
        """
        self.step += 1
        was, self.now = self.now, {}
        found = members(engine)
        for slug, came in was.items():
            others = {ref: n for ref, n in came.items() if ref not in taken_out}
            due = first_of(came) | first_of(others)
            if slug not in found:
                self.due[slug] = due
            elif not due & found[slug]:
                yield f"{slug} left {due} for {found[slug]}"
        for slug, refs in found.items():
            if slug not in was:
                if slug in self.due:
                    if not self.due.pop(slug) & refs:
                        yield f"{slug} came back to {refs}"
                elif had := [gone for gone, due in self.due.items() if due == refs]:
                    yield f"{slug} was made for {refs}, who had {had}"
            if "~" in slug and slug.rpartition("~")[2].isdigit():
                yield f"{slug} is made of an asset's id"
            since = was.get(slug, {})
            self.now[slug] = {ref: since.get(ref, self.step) for ref in refs}


def first_of(came: Mapping[Ref, int]) -> set[Ref]:
    """Who came first; several where they came at once."""
    return {ref for ref, n in came.items() if n == min(came.values(), default=0)}


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))]
)
def test_whatever_happens_a_slug_stays_with_who_had_it_first(engine: Engine, seed: int):
    dice = Random(seed)
    refs = [(source, f"{source}{n}") for source in SOURCES for n in range(3)]
    names = ["Apollo", "Apollo", "Dagger", "Streamr"]
    coins = {ref: (dice.choice(["APL", "XDAG", "DATA"]), dice.choice(names)) for ref in refs}
    waiting = dice.sample(refs, len(refs))
    watched = Watched()

    for _ in range(25):
        there = [ref for ref in refs if ref not in waiting]
        what = dice.choice(["load", "load", "write", "erase", "reprocess", "link", "split", "undo"])
        taken_out: Collection[Ref] = ()
        try:
            if what == "load" and waiting:
                source = waiting[-1][0]
                some = [ref for ref in waiting if ref[0] == source][-dice.randint(1, 2) :]
                waiting = [ref for ref in waiting if ref not in some]
                bring(engine, *some, coins=coins)
            elif what == "write":
                some = dice.sample(refs, 6)
                write(engine, {ref: dice.choice(["x", "Apollo", "y"]) for ref in some})
            elif what == "erase":
                write(engine, {})
            elif what == "reprocess":
                reprocess(engine, SOURCES[dice.choice(refs)[0]][0])
            elif len(there) > 1:
                taken_out = decide(engine, dice, what, there)
        except CorrectionError:
            continue
        assert not [*watched.look(engine, taken_out)]
        assert not verify(engine).findings


def decide(engine: Engine, dice: Random, what: str, there: Collection[Ref]) -> Collection[Ref]:
    """Decide as a person; return whom that may have taken out of an asset."""
    one, other = dice.sample([*there], 2)
    with engine.begin() as conn:
        if what == "link":
            slug = next(slug for slug, refs in members(engine).items() if other in refs)
            deciding.link(conn, one, slug, ANN)
            return [one]
        if what == "split":
            deciding.split(conn, one, None, ANN)
            return [one]
        stand = select(corrections.c.id).where(corrections.c.revoked_at.is_(None))
        if standing := conn.scalars(stand.order_by(corrections.c.id)).all():
            deciding.undo(conn, dice.choice(standing), ANN)
        return there
