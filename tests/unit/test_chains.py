"""Chains by one name for both providers, and addresses in the form in which they are compared."""

import pytest

from worker.sources.chains import CHAINS, chain_name, contracts_on, normalise_address

CHECKSUMMED = "0xdAC17F958D2ee523a2206206994597C13D831ec7"
BASE58 = "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB"


@pytest.mark.parametrize("platform", CHAINS["coinpaprika"])
def test_a_platform_of_both_providers_is_one_chain(platform):
    chain = chain_name("coinpaprika", platform)
    assert chain_name("coingecko", chain) == chain


def test_no_two_platforms_of_a_provider_are_one_chain():
    names = [*CHAINS["coinpaprika"].values()]
    assert len(names) == len({*names})


def test_a_platform_that_nobody_knows_never_meets_another_providers():
    assert chain_name("coinpaprika", "abc") == "coinpaprika:abc"
    assert chain_name("coingecko", "abc") == "coingecko:abc"
    assert chain_name("coinpaprika", "ethereum") != chain_name("coingecko", "ethereum")


def test_the_capitals_of_an_evm_address_say_nothing():
    assert normalise_address(f" {CHECKSUMMED}\n") == CHECKSUMMED.lower()
    assert normalise_address(CHECKSUMMED.replace("0x", "0X")) == CHECKSUMMED.lower()


@pytest.mark.parametrize("address", [BASE58, "0x1::aptos_coin::AptosCoin", CHECKSUMMED + "A"])
def test_the_capitals_of_any_other_address_count(address):
    assert normalise_address(address) == address


def test_no_platform_and_no_address_are_no_contract():
    held = {"": CHECKSUMMED, "ethereum": " ", "solana": None, "tron": "TR7N"}
    assert contracts_on("coingecko", held) == (("tron", "TR7N"),)


def test_contracts_are_in_one_order():
    one = contracts_on("coingecko", {"solana": BASE58, "ethereum": CHECKSUMMED})
    assert one == contracts_on("coingecko", {"ethereum": CHECKSUMMED.lower(), "solana": BASE58})
