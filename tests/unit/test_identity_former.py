"""A rename at one source parts no coin, and gives no coin to whoever takes its name."""

from datetime import timedelta
from itertools import permutations

import pytest

from tests.fakes.listings import NOON, called, listing, ruling, together, verdicts
from worker.identity.resolver.resolver import resolve

RENAMES = [
    (("nano", "nano", "Nano"), ("xno", "Nano"), ("nano-nano", "NANO", "Nano")),
    (
        ("matic-network", "matic", "Polygon"),
        ("pol", "POL (ex-MATIC)"),
        ("matic-polygon", "MATIC", "Polygon"),
    ),
    (
        ("terra-luna", "luna", "Terra"),
        ("lunc", "Terra Luna Classic"),
        ("luna-terra", "LUNA", "Terra"),
    ),
    (
        ("paxos-standard", "pax", "Paxos Standard"),
        ("usdp", "Pax Dollar"),
        ("pax-paxos-standard-token", "PAX", "Paxos Standard Token"),
    ),
]


def renamed(ref, *names, **values):
    """Make a listing that is called the last of its names now."""
    return listing(ref, *names[-1][1:], names=called(*names), **values)


def pair(was, now, other, *, day=30):
    external_id, *old = was
    paprika_id, *its = other
    return (
        renamed(f"gecko:{external_id}", (0, *old), (day, *now)),
        renamed(f"paprika:{paprika_id}", (0, *its)),
    )


@pytest.mark.parametrize(("was", "now", "other"), RENAMES)
def test_a_rename_at_one_source_leaves_a_coin_one(was, now, other):
    gecko, paprika = pair(was, now, other)

    resolution = resolve([gecko, paprika], [])

    assert together(resolution, gecko, paprika)
    assert verdicts(resolution) == [("former_name", "linked")]
    assert resolution.matches[0].evidence["was"] == {"symbol": was[1], "name": was[2]}


def test_a_coin_that_both_sources_renamed_each_in_its_way_stays_one():
    gecko = renamed("gecko:matic", (0, "matic", "Polygon"), (9, "pol", "POL (ex-MATIC)"))
    paprika = renamed("paprika:matic-polygon", (1, "MATIC", "Polygon"), (20, "PEC", "Ecosystem"))

    resolution = resolve([gecko, paprika], [])

    assert together(resolution, gecko, paprika)
    assert verdicts(resolution) == [("former_name", "linked")]


@pytest.mark.parametrize(
    ("gecko_names", "paprika_names"),
    [
        # The new name came before the other source knew the old one.
        ([(0, "luna", "Terra"), (9, "lunc", "Classic")], [(10, "LUNA", "Terra")]),
        # Half a day of the other's name, by mistake.
        (
            [(0, "gld", "Gold"), (9, "luna", "Terra"), (9.5, "glx", "Gold")],
            [(0, "LUNA", "Terra")],
        ),
    ],
    ids=["never at one time", "for less than a day"],
)
def test_a_name_shared_for_less_than_a_day_is_a_question(gecko_names, paprika_names):
    gecko = renamed("gecko:terra-luna", *gecko_names)
    paprika = renamed("paprika:luna-terra", *paprika_names)

    resolution = resolve([gecko, paprika], [])

    assert not together(resolution, gecko, paprika)
    assert verdicts(resolution) == [("former_name", "not_a_day_at_once")]


def test_a_name_given_up_again_tells_nothing():
    """When it ended is not known: only since when it was first heard."""
    gecko = listing(
        "gecko:gold", "gld", "Gold", names=called((0, "gld", "Gold"), (2, "luna", "Terra"))
    )
    paprika = renamed("paprika:luna-terra", (0, "LUNA", "Terra"))

    resolution = resolve([gecko, paprika], [])

    assert (len(resolution.clusters), resolution.matches) == (2, [])


OLD = renamed("gecko:terra-luna", (0, "luna", "Terra"), (30, "lunc", "Terra Luna Classic"))
NEW = renamed("gecko:terra-luna-2", (30, "luna", "Terra"))
KEPT = renamed("paprika:luna-terra", (0, "LUNA", "Terra"))


@pytest.mark.parametrize("order", list(permutations((OLD, NEW, KEPT))))
def test_who_takes_the_old_name_does_not_take_the_coin(order):
    resolution = resolve(order, [])

    assert together(resolution, OLD, KEPT)
    assert together(resolution, NEW)
    assert verdicts(resolution) == [("former_name", "linked")]


LATE = renamed("paprika:luna-terra", (90, "LUNA", "Terra"))
FILE = renamed("csv:terra", (0, "LUNA", "Terra"), price_usd="1", circulating_supply="18741512")
COIN = renamed(
    "gecko:terra-luna",
    (0, "luna", "Terra"),
    (30, "lunc", "Terra Luna Classic"),
    price_usd="1",
    circulating_supply="18741512",
)


@pytest.mark.parametrize("order", list(permutations((COIN, NEW, LATE, FILE))))
def test_nor_by_way_of_a_source_that_came_later(order):
    resolution = resolve(order, [])

    assert together(resolution, COIN, LATE, FILE)
    assert together(resolution, NEW)


def test_prices_say_that_the_other_source_changed_what_it_means_by_the_name():
    old = renamed("gecko:old", (0, "luna", "Terra"), (30, "lunc", "Terra Classic"), price_usd="0.1")
    new = renamed("gecko:new", (30, "luna", "Terra"), price_usd="80")
    kept = renamed("paprika:luna-terra", (0, "LUNA", "Terra"), price_usd="81")

    resolution = resolve([old, new, kept], [])

    assert together(resolution, new, kept)
    assert together(resolution, old)
    assert verdicts(resolution) == [("symbol_and_name", "linked")]


def test_a_coin_renamed_at_both_leaves_its_name_to_the_newcomers():
    there = renamed("paprika:lunc-terra", (0, "LUNA", "Terra"), (31, "LUNC", "Terra Luna Classic"))
    newer = renamed("paprika:luna-terra-v2", (31, "LUNA", "Terra"))

    resolution = resolve([OLD, NEW, there, newer], [])

    assert together(resolution, OLD, there)
    assert not together(resolution, NEW, there)
    # Its id says a version: that is asked, as ever.
    assert verdicts(resolution) == [
        ("symbol_and_name", "linked"),
        ("symbol_and_name", "versions_differ"),
    ]


def test_what_it_is_called_now_outweighs_what_it_was():
    """The other source made a listing of the new name, and keeps the old one beside it."""
    now = renamed("paprika:lunc-terra-luna-classic", (31, "LUNC", "Terra Luna Classic"))

    resolution = resolve([OLD, NEW, KEPT, now], [])

    assert together(resolution, OLD, now)
    assert together(resolution, NEW, KEPT)
    assert verdicts(resolution) == [("symbol_and_name", "linked")] * 2


@pytest.mark.parametrize(
    "ids",
    [("lunc-terra", "lunc-classic"), ("lunc-terra-v2",)],
    ids=["namesakes", "another version"],
)
def test_a_question_by_what_it_is_called_now_outweighs_it_too(ids):
    now = [renamed(f"paprika:{id_}", (31, "LUNC", "Terra Luna Classic")) for id_ in ids]

    resolution = resolve([OLD, KEPT, *now], [])

    assert len(resolution.clusters) == 2 + len(now)
    assert len(resolution.matches) == len(now)
    assert {why for _, why in verdicts(resolution)} <= {"namesakes", "versions_differ"}


def test_who_was_first_seen_minutes_later_is_no_newcomer():
    minutes = 5 / 1440
    namesake = renamed("gecko:terra-money", (2 * minutes, "luna", "Terra"))
    other = renamed("paprika:luna-terra", (minutes, "LUNA", "Terra"))

    resolution = resolve([OLD, namesake, other], [])

    assert not together(resolution, OLD, other)


def test_two_who_had_the_name_at_once_are_a_question():
    namesake = renamed("gecko:terra-money", (0, "luna", "Terra"), (20, "mny", "Money"))

    resolution = resolve([OLD, namesake, KEPT], [])

    assert len(resolution.clusters) == 3
    assert ("former_name", "namesakes") in verdicts(resolution)


@pytest.mark.parametrize(
    ("now", "values", "why"),
    [
        (("lunc", "Terra Classic"), {"price_usd": "7"}, "prices_differ"),
        (("lunc", "Terra Classic"), {"contracts": [("e", "2")]}, "contracts_differ"),
        (("lunc", "Terra Classic"), {"max_supply": "9"}, "supplies_differ"),
        (("lunc", "Terra (Wormhole)"), {}, None),
        (("wluna", "Wrapped Terra"), {}, None),
    ],
)
def test_what_contradicts_parts_them_all_the_same(now, values, why):
    its = {"price_usd": "1", "contracts": [("e", "1")], "max_supply": "21000000"}
    its = {name: value for name, value in its.items() if name in values}
    gecko = renamed("gecko:terra-luna", (0, "luna", "Terra"), (30, *now), **values)
    paprika = renamed("paprika:luna-terra", (0, "LUNA", "Terra"), **its)

    resolution = resolve([gecko, paprika], [])

    assert len(resolution.clusters) == 2
    assert verdicts(resolution) == ([("former_name", why)] if why else [])


def test_what_is_ruled_apart_stays_apart_whatever_both_were_called():
    gecko, paprika = pair(*RENAMES[0])

    resolution = resolve([gecko, paprika], [ruling(gecko, paprika, same=False)])

    assert (len(resolution.clusters), resolution.matches) == (2, [])


def test_another_spelling_is_no_other_name():
    first = renamed("gecko:terra-luna", (0, "luna", "Terra"), (30, "LUNA", "Terra"))
    second = renamed("gecko:terra-money", (1, "luna", "Terra"))
    other = renamed("paprika:luna-terra", (0.5, "LUNA", "Terra"))

    resolution = resolve([first, second, other], [])

    assert verdicts(resolution) == [("symbol_and_name", "namesakes")] * 2


def test_thousands_of_one_symbol_of_which_half_had_another_are_told_apart():
    crowd = [
        renamed(f"{side}:{n}", (0, "x", f"Was {n}"), (9, "x" if n % 2 else f"s{n}", f"Coin {n}"))
        for side in ("gecko", "paprika")
        for n in range(1000)
    ]

    assert len(resolve(crowd, []).clusters) == 1000


def test_many_who_were_all_called_the_same_are_no_questions():
    placeholders = [
        renamed(f"gecko:x{n}", (0, "tbd", "Unknown"), (n + 9, f"s{n}", f"Coin number {n}"))
        for n in range(500)
    ]
    other = listing("paprika:tbd-unknown", "TBD", "Unknown", observed_at=NOON + timedelta(1))

    resolution = resolve([*placeholders, other], [])

    assert (len(resolution.clusters), resolution.matches) == (501, [])
