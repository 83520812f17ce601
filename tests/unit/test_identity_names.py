import pytest

from worker.identity.resolver.labels.names import (
    comparable_name,
    comparable_symbol,
    name_tokens,
    slug_part,
)
from worker.identity.resolver.labels.variants import find_kinds, find_versions


@pytest.mark.parametrize(
    ("name", "symbol", "comparable"),
    [
        ("Bancor Network Token", "BNT", "bancor"),
        ("The Graph", "GRT", "graph"),
        ("Big Bang Game Coin", "BBGC", "bigbanggame"),
        ("Carboneum [C8] Token", "C8", "carboneum"),
        ("Golem (Old)", "GNT", "golemold"),
        ("yearn.finance", "YFI", "yearnfinance"),
        ("Bitcoin", "BTC", "bitcoin"),
        ("Token", "TKN", "token"),
        ("Coin Network Protocol", "CNP", "coinnetworkprotocol"),
        ("The The", "THE", "thethe"),
        ("(BTC)", "BTC", "btc"),
        ("🦄🌈", "UNI", "🦄🌈"),
        ("比特币", "BTC", "比特币"),
        ("", "BTC", ""),
    ],
)
def test_names_are_compared_without_the_words_that_many_carry(name, symbol, comparable):
    assert comparable_name(name, symbol) == comparable


def test_a_look_alike_of_other_letters_is_another_name():
    assert comparable_name("\u0412itcoin", "BTC") != comparable_name("Bitcoin", "BTC")
    assert comparable_name("\uff22itcoin", "BTC") == comparable_name("Bitcoin", "BTC")


def test_tokens_keep_their_order():
    assert name_tokens("Direct Insurance Token", "DIT") == ("direct", "insurance")


@pytest.mark.parametrize(
    ("source", "external_id", "symbol", "slug"),
    [
        ("coingecko", "avalanche-2", "avax", "avalanche-2"),
        ("coinpaprika", "zrx-0x", "ZRX", "0x"),
        ("coinpaprika", "avax-avalanche", "AVAX", "avalanche"),
        ("coinpaprika", "xtl-stellite", "XLA", "stellite"),
        ("coinpaprika", "usdc-e-usd-coin-bridged", "USDC.e", "usd-coin-bridged"),
        ("coinpaprika", "odd", "ODD", ""),
        ("csv", "mine:bitcoin", "BTC", "bitcoin"),
        ("csv", "bitcoin", "BTC", "bitcoin"),
    ],
)
def test_the_name_is_taken_out_of_an_external_id(source, external_id, symbol, slug):
    assert slug_part(source, external_id, symbol) == slug


@pytest.mark.parametrize(
    ("symbol", "name", "slug", "kinds"),
    [
        ("btc", "bitcoin", "bitcoin", set()),
        ("wbtc", "wrapped bitcoin", "wrapped-bitcoin", {"wrapped"}),
        ("weth", "weth", "weth", {"wrapped"}),
        ("doge", "binance-peg dogecoin", "binance-peg-dogecoin", {"pegged"}),
        ("zrx", "0x (wormhole)", "0x-wormhole", {"bridged"}),
        ("busd", "busd [via wormhole]", "busd", {"bridged"}),
        ("usdc", "bridged usdc (polygon pos bridge)", "bridged-usdc", {"bridged"}),
        ("usdc", "usd coin", "usd-coin-avalanche-bridged-usdc-e", {"bridged"}),
        ("usdc.e", "usd coin", "usdc", {"bridged"}),
        ("usdt", "tether (usdt.e)", "tether", {"bridged"}),
        ("dai", "dai (pos)", "dai", {"bridged"}),
        ("anyeth", "ethereum (multichain)", "ethereum", {"bridged"}),
        ("steth", "lido staked ether", "staked-ether", {"staked"}),
        ("steth", "steth", "steth", {"staked"}),
        ("multi", "multichain", "multichain", set()),
        ("w", "wormhole", "wormhole", set()),
        ("portal", "portal", "portal", set()),
        ("cmcx", "core multichain", "core", set()),
        ("peg", "pegnet", "pegnet", set()),
        ("waves", "waves", "waves", set()),
        ("stone", "stone", "stone", set()),
    ],
)
def test_what_only_follows_a_coin_is_told_by_its_names(symbol, name, slug, kinds):
    assert find_kinds(symbol, name, slug) == kinds


@pytest.mark.parametrize(
    ("name", "slug", "versions"),
    [
        ("golem", "golem", set()),
        ("bittorrent [old]", "bittorrent", {"old"}),
        ("safemoon v2", "safemoon-2", {"v2"}),
        ("terra", "terra-v2", {"v2"}),
        ("avalanche", "avalanche-2", set()),
        ("classic bitcoin", "classic-bitcoin", set()),
        ("ethereum classic", "ethereum-classic", {"classic"}),
        ("404", "404", set()),
    ],
)
def test_a_version_is_told_by_the_name_or_the_id(name, slug, versions):
    assert find_versions(name, slug) == versions


@pytest.mark.parametrize(
    ("symbol", "compared"),
    [
        ("TONCOIN", "ton"),
        ("$TON", "ton"),
        ("Ton-Token", "ton"),
        ("COIN", "coin"),
        ("XCOIN", "xcoin"),
        ("COINTON", "cointon"),
        ("$", ""),
    ],
)
def test_symbols_are_compared_without_signs_and_a_common_word_behind(symbol, compared):
    assert comparable_symbol(symbol) == compared
