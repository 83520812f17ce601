"""Listings that are parted, and decided on part by part, come out as if decided on at once."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.listings import NOON, called, listing, ruling
from tests.unit.test_identity_properties import clusters, matches, worlds
from worker.identity.resolver.corroboration import compare_newest_prices
from worker.identity.resolver.listing import Listing
from worker.identity.resolver.parts.parts import Part
from worker.identity.resolver.resolver import divide, resolve, resolve_part


class Asked:
    """What a resolver asked to compare."""

    def __init__(self):
        self.pairs = set()

    def __call__(self, one, other):
        self.pairs.add(frozenset((one.listing_id, other.listing_id)))
        return compare_newest_prices(one, other)


def resolve_at_once(listings, rulings, prices):
    sorted_listings = sorted((Listing(one, prices) for one in listings), key=lambda one: one.ref)
    return resolve_part(Part(sorted_listings, {}, rulings))


@given(worlds())
def test_parts_come_out_as_all_at_once(world):
    listings, rulings = world

    asked, asked_at_once = Asked(), Asked()

    parted = resolve(listings, rulings, asked)

    certain = {
        frozenset(pair)
        for part in divide(listings, rulings, compare_newest_prices)
        for pair in part.certain_pairs()
    }
    assert certain <= asked.pairs
    whole = resolve_at_once(listings, rulings, asked_at_once)
    assert asked.pairs == asked_at_once.pairs
    assert clusters(parted) == clusters(whole)
    assert matches(parted) == matches(whole)


WORDS = ("Abc", "Red", "Moon", "Cat", "Token", "Swap", "v2")
SIDES = ("gecko", "paprika", "csv:a")


@st.composite
def crowds(draw):
    """Draw listings. Most share a symbol, and many share a word of their names."""
    label = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)
    symbol = st.sampled_from(("ABC", "ABC", "ABC", "Red", "XYZ"))
    day = st.integers(0, 6)
    listings = []
    for number in range(draw(st.integers(3, 14))):
        now, since = (draw(symbol), draw(label)), draw(day)
        told = {now: (since, *now)}
        if draw(st.integers(0, 3)) == 0:
            before = draw(symbol), draw(label)
            told.setdefault(before, (draw(day), *before))
        external_id = draw(st.sampled_from((str(number), f"moon-{number}", f"abc-red-{number}")))
        listings.append(
            listing(
                f"{draw(st.sampled_from(SIDES))}:{external_id}",
                *now,
                names=called(*told.values()),
                observed_at=NOON + timedelta(days=draw(st.integers(since, 8))),
                price_usd=draw(st.sampled_from((None, "1", "1.05", "7"))),
                total_supply=draw(st.sampled_from((None, None, "1", "18741512"))),
                contracts=draw(st.sampled_from(((), (), (("e", "1"),), (("e", "2"),)))),
                is_delisted=draw(st.integers(0, 2)) == 0,
                is_pending=draw(st.integers(0, 7)) == 0,
            )
        )
    one = st.sampled_from(listings)
    ruled = draw(st.lists(st.tuples(one, one, st.booleans()), max_size=2))
    return listings, [ruling(*pair, same=same) for *pair, same in ruled]


@given(crowds())
def test_parts_of_a_crowd_come_out_as_all_at_once(world):
    test_parts_come_out_as_all_at_once.hypothesis.inner_test(world)


def test_of_who_was_called_as_their_symbol_all_that_ever_had_it_count():
    """A rival of the first day is no rival any more, and shares nothing but the symbol."""
    renamed = listing(
        "gecko:a", "ABC", "Alpha", names=called((0, "ABC", "ABC"), (9, "ABC", "Alpha"))
    )
    kept = listing("paprika:x", "ABC", "ABC", names=called((0, "ABC", "ABC")))
    rival = listing("paprika:y", "ABC", "Red", names=called((0, "ABC", "Red")))
    strangers = [
        listing(f"{side}:{n}", "ABC", f"Name{n}{side}", names=called((20, "ABC", f"Name{n}{side}")))
        for side in ("gecko", "paprika")
        for n in range(3)
    ]

    for world in ([renamed, kept, *strangers], [renamed, kept, rival, *strangers]):
        parted = resolve(world, [])

        whole = resolve_at_once(world, [], compare_newest_prices)
        assert clusters(parted) == clusters(whole)
        assert matches(parted) == matches(whole)
