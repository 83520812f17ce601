"""Links that people decided on."""

from dataclasses import replace

import pytest

from tests.fakes.listings import NOON, contract, listing, ruling, together
from worker.identity.resolver.evidence import Candidate
from worker.identity.resolver.resolver import resolve

BITCOIN = listing("gecko:bitcoin", "btc", "Bitcoin")

PAPRIKA_BITCOIN = listing("paprika:btc-bitcoin", "BTC", "Bitcoin")


def test_a_person_s_word_joins_what_has_nothing_in_common_and_two_of_one_source():
    one, other = listing("gecko:a", "aaa", "Alpha"), listing("gecko:b", "bbb", "Beta")

    resolution = resolve([one, other], [ruling(one, other, same=True)])

    assert together(resolution, one, other)
    assert [(m.method, str(m.score)) for m in resolution.matches] == [("correction", "1.000")]


def test_a_person_s_word_keeps_apart_and_leaves_no_question():
    resolution = resolve([BITCOIN, PAPRIKA_BITCOIN], [ruling(PAPRIKA_BITCOIN, BITCOIN, same=False)])

    assert len(resolution.clusters) == 2
    assert not resolution.matches


@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 2), (2, 3), (0, 3)])
def test_no_third_listing_joins_what_is_ruled_apart(pair):
    files = (listing(f"csv:{name}:bitcoin", "BTC", "Bitcoin") for name in "ab")
    listings = [BITCOIN, PAPRIKA_BITCOIN, *files]
    one, other = (listings[n] for n in pair)

    resolution = resolve(listings, [ruling(one, other, same=False)])

    assert len(resolution.clusters) == 2
    assert not any({one.listing_id, other.listing_id} <= ids for ids in resolution.clusters)


def test_a_correction_outranks_a_crosswalk():
    def clusters(*rulings):
        return len(resolve([BITCOIN, PAPRIKA_BITCOIN], rulings).clusters)

    same, other = (ruling(BITCOIN, PAPRIKA_BITCOIN, same=same) for same in (True, False))

    assert clusters(replace(same, origin="crosswalk"), other) == 2
    assert clusters(same, replace(other, origin="crosswalk")) == 1
    assert clusters(same, other) == 2


def test_what_is_ruled_apart_makes_way_for_the_next_best():
    wrong = listing("paprika:abc-x", "ABC", "Alphabet")
    right = listing("paprika:abc-letters", "ABC", "Alphabet Letters")
    gecko = listing("gecko:letters", "abc", "Alphabet")

    assert together(resolve([gecko, wrong, right], []), gecko, wrong)
    resolution = resolve([gecko, wrong, right], [ruling(gecko, wrong, same=False)])
    assert together(resolution, gecko, right)


def test_two_of_one_source_that_a_person_made_one_are_no_namesakes():
    namesake = listing("gecko:golden", "glc", "Goldcoin")
    golden = listing("gecko:golden-goose", "glc", "Goldcoin")
    paprika = listing("paprika:glc-gold", "GLC", "Goldcoin")

    resolution = resolve([golden, paprika, namesake], [ruling(golden, namesake, same=True)])

    assert together(resolution, golden, paprika, namesake)


def test_two_of_one_source_that_a_person_made_one_share_their_contract_with_a_third():
    old = listing("gecko:old-id", "old", "Older", **contract(("ethereum", "0xa")))
    new = listing("gecko:new-id", "new", "Newer", **contract(("ethereum", "0xa")))
    third = listing("paprika:x-other", "X", "Other", **contract(("ethereum", "0xa")))

    assert together(resolve([old, new, third], [ruling(old, new, same=True)]), old, new, third)


def test_a_ruling_on_a_listing_that_is_not_there_is_for_later():
    absent = listing("paprika:x-x", "X", "X")

    assert len(resolve([BITCOIN], [ruling(BITCOIN, absent, same=True)]).clusters) == 1


def test_a_csv_file_s_namespaces_are_sides_of_their_own():
    def side(external_id):
        return Candidate(1, "csv", external_id, "", "", NOON).side

    assert side("mine:1") == side("mine:2") != side("yours:1") != side("1") == side("2")
