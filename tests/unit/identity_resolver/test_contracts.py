"""Links by contracts, and links that contracts forbid."""

from itertools import permutations

import pytest

from tests.fakes.listings import apart, contract, listing, together, verdicts
from worker.identity.resolver.resolver import resolve


def test_a_contract_links_what_changed_its_name_and_symbol():
    one = listing("gecko:matic", "pol", "Polygon Ecosystem", **contract(("ethereum", "0xa")))
    other = listing(
        "paprika:m-m", "MATIC", "Matic", **contract(("ethereum", "0xa"), ("bsc", "0xb"))
    )

    resolution = resolve([one, other], [])

    assert together(resolution, one, other)
    assert verdicts(resolution) == [("contract", "linked")]


def test_other_contracts_on_the_same_chain_forbid_what_names_would_link():
    one = listing("gecko:golem", "glm", "Golem", **contract(("ethereum", "0xa")))
    other = listing("paprika:glm-golem", "GLM", "Golem", **contract(("ethereum", "0xb")))

    assert verdicts(resolve([one, other], [])) == [("symbol_and_name", "contracts_differ")]
    elsewhere = listing("paprika:glm-golem", "GLM", "Golem", **contract(("bsc", "0xb")))
    assert together(resolve([one, elsewhere], []), one, elsewhere)


@pytest.mark.parametrize("order", list(permutations(["0xa", "0xb", None])))
def test_a_third_listing_cannot_join_what_contracts_keep_apart(order):
    refs = ("gecko:golem", "paprika:glm-golem", "csv:mine:golem")
    listings = [
        listing(ref, "GLM", "Golem", **contract(*([("ethereum", address)] if address else [])))
        for ref, address in zip(refs, order, strict=True)
    ]

    resolution = resolve(listings, [])

    assert len(resolution.clusters) == 2
    one, other = (found for found in listings if found.contracts)
    assert not any({one.listing_id, other.listing_id} <= ids for ids in resolution.clusters)


def test_a_variant_that_shares_its_coin_s_contract_is_no_question():
    peg = listing("gecko:binance-peg-xrp", "xrp", "Binance-Peg XRP", **contract(("bsc", "0xa")))

    assert apart(peg, listing("gecko:ripple", "xrp", "XRP", **contract(("bsc", "0xa"))))


def test_two_ids_of_one_source_with_one_contract_are_a_question():
    old = listing("gecko:old-id", "old", "Older", **contract(("ethereum", "0xa")))
    new = listing("gecko:new-id", "new", "Newer", **contract(("ethereum", "0xa")))

    assert verdicts(resolve([old, new], [])) == [("contract", "same_source")]


def test_names_tell_which_of_two_ids_with_one_contract_another_source_means():
    old = listing("gecko:old-id", "abc", "Older", **contract(("ethereum", "0xa")))
    new = listing("gecko:new-id", "abc", "Newer", **contract(("ethereum", "0xa")))
    paprika = listing("paprika:abc-newer", "ABC", "Newer", **contract(("ethereum", "0xa")))

    resolution = resolve([old, new, paprika], [])

    assert together(resolution, new, paprika)
    assert verdicts(resolution) == [("contract", "same_source"), ("symbol_and_name", "linked")]


def test_a_coin_that_names_its_wrapper_s_contract_is_not_the_wrapper():
    weth = listing("gecko:weth", "weth", "WETH", **contract(("ethereum", "0xc0")))
    ether = listing("gecko:ethereum", "eth", "Ethereum")
    paprika = listing("paprika:eth-ethereum", "ETH", "Ethereum", **contract(("ethereum", "0xc0")))

    resolution = resolve([weth, ether, paprika], [])

    assert together(resolution, ether, paprika)
    assert verdicts(resolution) == [("symbol_and_name", "linked")]


def test_an_address_that_a_source_gives_to_many_is_no_contract():
    nowhere = contract(("ethereum", "0x0"))
    many = [listing(f"gecko:g{n}", f"g{n}", f"G {n}", **nowhere) for n in range(4)]

    assert apart(*many, listing("paprika:p-p", "P", "P", **nowhere))
