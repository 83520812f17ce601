"""Delisted listings: in the way of no other, and one with what they were one with."""

from dataclasses import replace
from datetime import timedelta

from tests.fakes.listings import NOON, called, listing, together, verdicts
from worker.identity.resolver.evidence import Candidate
from worker.identity.resolver.resolver import resolve

PAPRIKA = listing("paprika:btc-bitcoin", "BTC", "Bitcoin", names=called((0, "BTC", "Bitcoin")))
OLD = listing(
    "gecko:bitcoin",
    "btc",
    "Bitcoin",
    names=called((0, "btc", "Bitcoin")),
    observed_at=NOON + timedelta(days=3),
)


def gone(candidate: Candidate) -> Candidate:
    return replace(candidate, is_delisted=True)


def newcomer(day: int, ref: str = "gecko:bitcoin-9x", **values) -> Candidate:
    names = called((day, "btc", "Bitcoin"))
    observed_at = NOON + timedelta(days=20)
    return listing(ref, "btc", "Bitcoin", names=names, observed_at=observed_at, **values)


def test_a_delisted_listing_keeps_its_link():
    resolution = resolve([gone(OLD), PAPRIKA], [])

    assert together(resolution, OLD, PAPRIKA)
    assert resolution == resolve([OLD, PAPRIKA], [])


def test_an_asset_that_no_source_lists_keeps_its_links():
    resolution = resolve([gone(OLD), gone(PAPRIKA)], [])

    assert together(resolution, OLD, PAPRIKA)


def test_an_id_that_replaces_another_takes_its_link_once_that_is_delisted():
    new = newcomer(3)
    assert together(resolve([OLD, new, PAPRIKA], []), OLD, PAPRIKA)

    resolution = resolve([gone(OLD), new, PAPRIKA], [])

    assert together(resolution, OLD, new, PAPRIKA)
    assert verdicts(resolution) == [("symbol_and_name", "linked")] * 2


def test_ids_that_are_replaced_again_and_again_stay_one_asset():
    first, second, third = gone(OLD), gone(newcomer(3, "gecko:bitcoin-1")), newcomer(20)

    assert together(resolve([first, second, third, PAPRIKA], []), first, second, third, PAPRIKA)


def test_a_namesake_that_was_listed_beside_it_is_another_coin():
    beside = newcomer(1)

    resolution = resolve([gone(OLD), beside, PAPRIKA], [])

    assert together(resolution, beside, PAPRIKA)
    assert together(resolution, OLD)


def test_a_namesake_that_comes_long_after_it_is_another_coin():
    later = newcomer(9)

    resolution = resolve([gone(OLD), later, PAPRIKA], [])

    assert together(resolution, later, PAPRIKA)
    assert together(resolution, OLD)


def test_it_keeps_its_link_beside_a_newcomer_whose_price_contradicts():
    prices = {"price_usd": "100", "observed_at": NOON + timedelta(days=20)}
    paprika = replace(PAPRIKA, observed_at=prices["observed_at"], price_usd=1)
    new = replace(newcomer(9), price_usd=100)

    resolution = resolve([gone(OLD), new, paprika], [])

    assert together(resolution, OLD, paprika)
    assert together(resolution, new)


def test_two_that_were_namesakes_never_become_one():
    one, other = newcomer(1, "gecko:bitcoin-1"), newcomer(2, "gecko:bitcoin-2")
    assert len(resolve([one, other, PAPRIKA], []).clusters) == 3

    both_gone = resolve([gone(one), gone(other), PAPRIKA], [])

    assert not together(both_gone, one, other, PAPRIKA)
    assert together(resolve([gone(one), other, PAPRIKA], []), other, PAPRIKA)


def test_a_contract_joins_an_id_and_the_one_that_replaced_it():
    contracts = [("ethereum", "0x1")]
    old = gone(replace(OLD, contracts=frozenset(contracts)))

    assert together(resolve([old, newcomer(3, contracts=contracts)], []), old, newcomer(3))
    beside = newcomer(1, contracts=contracts)
    assert len(resolve([old, beside], []).clusters) == 2
    assert verdicts(resolve([old, beside], [])) == [("contract", "same_source")]


def test_a_delisted_listing_is_no_rival_of_a_listed_one_by_contract():
    contracts = frozenset({("ethereum", "0x1")})
    observed_at = NOON + timedelta(days=1)
    wrong = listing("gecko:wrong", "wrg", "Wrong", contracts=contracts, observed_at=observed_at)
    right = listing("gecko:right", "rgt", "Right", contracts=contracts)
    paprika = listing("paprika:oth-other", "OTH", "Other", contracts=contracts)
    assert len(resolve([wrong, right, paprika], []).clusters) == 3

    assert together(resolve([gone(wrong), right, paprika], []), right, paprika)
