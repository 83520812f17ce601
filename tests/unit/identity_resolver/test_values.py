"""Links that prices and supplies make or forbid."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.fakes.listings import NOON, apart, listing, together, verdicts
from worker.identity.resolver.resolver import resolve


def two(name="Alphabet", **values):
    """One coin at two sources; values as (CoinGecko's, CoinPaprika's)."""
    one = {key: pair[0] for key, pair in values.items()}
    other = {key: pair[1] for key, pair in values.items()}
    return (
        listing("gecko:letters", "abc", name, **one),
        listing("paprika:abc-alpha", "ABC", name, **other),
    )


def test_a_price_off_by_a_factor_forbids_a_link_by_names():
    assert verdicts(resolve(two(price_usd=("1", "3")), [])) == [
        ("symbol_and_name", "prices_differ")
    ]


def test_a_price_of_another_hour_forbids_nothing():
    times = (NOON, NOON + timedelta(hours=2))

    assert verdicts(resolve(two(price_usd=("1", "3"), observed_at=times), [])) == [
        ("symbol_and_name", "linked")
    ]


def test_a_price_that_glitches_does_not_tear_a_coin_apart_whose_supply_agrees():
    pair = two(price_usd=("1", "3000"), circulating_supply=("18741512", "18741500"))

    resolution = resolve(pair, [])

    assert together(resolution, *pair)
    assert resolution.matches[0].prices == "differ"


def test_a_price_forbids_nothing_that_a_contract_says():
    pair = two(price_usd=("1", "3000"), contracts=([("eth", "0xa")], [("eth", "0xa")]))

    assert together(resolve(pair, []), *pair)


def test_a_third_source_without_a_price_does_not_join_two_that_differ():
    one, other = two(price_usd=("1", "3"))
    third = listing("csv:mine:7", "ABC", "Alphabet")

    resolution = resolve([one, other, third], [])

    assert not any({one.listing_id, other.listing_id} <= ids for ids in resolution.clusters)
    assert len(resolution.clusters) == 2


def test_supplies_that_are_far_apart_are_a_question_unless_prices_agree():
    supplies = ("1000", "900000")

    assert verdicts(resolve(two(total_supply=supplies), [])) == [
        ("symbol_and_name", "supplies_differ")
    ]
    assert verdicts(resolve(two(total_supply=supplies, price_usd=("1", "1")), [])) == [
        ("symbol_and_name", "linked")
    ]


def test_a_supply_makes_a_link_of_weak_names_and_a_price_alone_does_not():
    def pair(**values):
        return (
            listing("gecko:electronicgulden", "efl", "Electronic Gulden", **values),
            listing("paprika:efl-e-gulden", "EFL", "e-Gulden", **values),
        )

    assert verdicts(resolve(pair(price_usd="1"), [])) == [("symbol_and_tokens", "weak_names")]
    assert verdicts(resolve(pair(total_supply="20735123"), [])) == [("symbol_and_tokens", "linked")]


TON = listing("gecko:the-open-network", "ton", "The Open Network")

TONCOIN = listing("paprika:toncoin-the-open-network", "TONCOIN", "The Open Network")


def test_symbols_that_differ_by_a_common_word_link_what_one_name_and_one_id_call_one():
    resolution = resolve([TON, TONCOIN], [])

    assert verdicts(resolution) == [("name_and_slug", "linked")]
    [match] = resolution.matches
    assert (match.score, match.evidence["symbols"]) == (
        Decimal("0.825"),
        "same but for common words",
    )
    assert not together(resolve([TON, replace(TONCOIN, name="Open Network")], []), TON, TONCOIN)


def golems(**values):
    """One name and one slug under two symbols; of each value what either source says."""
    mine, its = ({key: both[n] for key, both in values.items()} for n in (0, 1))
    return [
        listing("gecko:golem", "glm", "Golem", **mine),
        listing("paprika:gnt-golem", "GNT", "Golem", **its),
    ]


SUPPLY = ("987654321", "987654000")


def test_where_symbols_differ_only_a_supply_makes_a_link_of_one_name_and_one_id():
    linked = resolve(golems(total_supply=SUPPLY), [])

    assert verdicts(linked) == [("name_and_slug", "linked")]
    assert linked.matches[0].score == Decimal("0.895")
    for values in (
        {},
        {"price_usd": ("1", "1.01")},
        {"price_usd": ("1", "1.01"), "market_cap_usd": ("7", "7.1")},
        {"total_supply": ("1000000000", "1000000000")},
    ):
        assert verdicts(resolve(golems(**values), [])) == [("name_and_slug", "symbols_differ")]


@pytest.mark.parametrize(
    "values",
    [
        {"price_usd": ("1", "7")},
        {"market_cap_usd": ("1", "70")},
        {"total_supply": ("1", "70")},
        {"contracts": ([("e", "1")], [("e", "2")])},
    ],
)
def test_what_contradicts_one_name_under_two_symbols_leaves_no_question(values):
    assert apart(*golems(**values))


def test_a_supply_outweighs_a_price_but_never_another_contract():
    assert verdicts(resolve(golems(total_supply=SUPPLY, price_usd=("1", "7")), [])) == [
        ("name_and_slug", "linked")
    ]
    contracts = ([("e", "1")], [("e", "2")])
    assert verdicts(resolve(golems(total_supply=SUPPLY, contracts=contracts), [])) == [
        ("name_and_slug", "contracts_differ")
    ]


@pytest.mark.parametrize("symbol", ["ton", "toncoin", "other"])
def test_a_name_that_a_source_has_twice_links_nothing_across_symbols(symbol):
    namesake = listing("gecko:the-open-network-2", symbol, "The Open Network")

    resolution = resolve([TON, TONCOIN, namesake], [])

    assert not together(resolution, TON, TONCOIN)
    assert [match.method for match in resolution.matches] == ["symbol_and_name"] * (
        symbol == "toncoin"
    )


def test_what_is_linked_by_its_own_symbol_is_not_asked_about_under_another():
    vision = listing("gecko:vision", "vsn", "Vision")
    metaverse = listing(
        "gecko:vision-metaverse", "vs", "Vision Metaverse", total_supply="987654321"
    )
    paprika = listing("paprika:vs-vision", "VS", "Vision", total_supply="987654321")

    assert verdicts(resolve([vision, metaverse, paprika], [])) == [("symbol_and_tokens", "linked")]


def test_whatever_agrees_raises_the_score_and_whatever_does_not_lowers_it():
    def score(**values):
        return resolve(two(**values), []).matches[0].score

    plain, price = score(), score(price_usd=("1", "1.01"))
    both = score(price_usd=("1", "1.01"), circulating_supply=("18741512", "18741500"))
    everything = score(
        price_usd=("1", "1.01"),
        circulating_supply=("18741512", "18741500"),
        market_cap_usd=("5", "5"),
    )

    assert str(plain) == "0.900"
    assert score(price_usd=("1", "3")) < plain < price < both < everything < 1
