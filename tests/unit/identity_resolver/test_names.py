"""Links by symbols, names and ids of the sources."""

import pytest

from tests.fakes.listings import apart, listing, together, verdicts
from worker.identity.resolver.resolver import resolve

BITCOIN = listing("gecko:bitcoin", "btc", "Bitcoin")

PAPRIKA_BITCOIN = listing("paprika:btc-bitcoin", "BTC", "Bitcoin")


def test_a_symbol_and_a_name_that_each_source_has_once_are_one_asset():
    resolution = resolve([BITCOIN, PAPRIKA_BITCOIN], [])

    assert together(resolution, BITCOIN, PAPRIKA_BITCOIN)
    [match] = resolution.matches
    assert (match.listing_id, match.other_listing_id) == (
        BITCOIN.listing_id,
        PAPRIKA_BITCOIN.listing_id,
    )
    assert (match.method, match.verdict, match.prices) == ("symbol_and_name", "linked", "unknown")
    assert match.evidence == {
        "ground": "same name",
        "symbols": "same",
        "names": "same name",
        "slugs": "same",
        "contracts": "unknown",
        "prices": "unknown",
        "market_caps": "unknown",
        "supplies": "unknown",
    }


@pytest.mark.parametrize(
    ("one", "other", "method"),
    [
        (
            ("gecko:avalanche-2", "avax", "Avalanche"),
            ("paprika:avax-avalanche", "AVAX", "Avalanche"),
            "symbol_and_name",
        ),
        (
            ("gecko:uniswap", "uni", "Uniswap"),
            ("paprika:uni-uniswap", "UNI", "Uniswap"),
            "symbol_and_name",
        ),
        (
            ("gecko:bancor", "bnt", "Bancor Network Token"),
            ("paprika:bnt-bancor", "BNT", "Bancor"),
            "symbol_and_name",
        ),
        (
            ("gecko:theta-token", "theta", "Theta Network"),
            ("paprika:theta-theta-token", "THETA", "THETA"),
            "symbol_and_name",
        ),
        (("gecko:swipe", "sxp", "SXP"), ("paprika:sxp-swipe", "SXP", "Swipe"), "symbol_and_slug"),
        (
            ("gecko:cosmos", "atom", "Cosmos Hub"),
            ("paprika:atom-cosmos", "ATOM", "Cosmos"),
            "symbol_and_slug",
        ),
        (
            ("gecko:badger-dao", "badger", "Badger DAO"),
            ("paprika:badger-badger", "BADGER", "Badger"),
            "symbol_and_tokens",
        ),
        (("gecko:weth", "weth", "WETH"), ("paprika:weth-weth", "WETH", "WETH"), "symbol_and_name"),
        (("gecko:xrp", "xrp", "XRP"), ("csv:mine:7", "XRP", "XRP"), "symbol_and_name"),
        (("csv:a:1", "BTC", "Bitcoin"), ("csv:b:9", "btc", "bitcoin"), "symbol_and_name"),
    ],
)
def test_real_coins_are_linked_by(one, other, method):
    resolution = resolve([listing(*one), listing(*other)], [])

    assert len(resolution.clusters) == 1
    assert verdicts(resolution) == [(method, "linked")]


def test_a_word_that_one_coin_of_the_symbol_has_tells_it_from_the_others():
    maple = listing("gecko:maple", "mpl", "Maple")
    finance = listing("paprika:mpl-maple-finance", "MPL", "Maple Finance")
    stranger = listing("paprika:mpl-maplestory", "MPL", "Maplestory")

    resolution = resolve([maple, finance, stranger], [])

    assert together(resolution, maple, finance)
    assert verdicts(resolution) == [("symbol_and_tokens", "linked")]
    namesake = listing("paprika:mpl-maple-leaf", "MPL", "Maple Leaf")
    assert len(resolve([maple, finance, namesake], []).clusters) == 3


def test_an_id_of_other_hyphens_is_the_same_slug():
    gecko = listing("gecko:binancecoin", "bnb", "BNB")
    paprika = listing("paprika:bnb-binance-coin", "BNB", "Binance Coin")

    assert verdicts(resolve([gecko, paprika], [])) == [("symbol_and_slug", "linked")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            ("gecko:metadium", "meta", "Metadium"),
            ("paprika:meta-metaverse-dao", "META", "Metaverse Dao"),
        ),
        (
            ("gecko:terra-luna", "lunc", "Terra Luna Classic"),
            ("paprika:luna-terra", "LUNA", "Terra"),
        ),
        (("gecko:weth", "weth", "WETH"), ("paprika:eth-ethereum", "ETH", "Ethereum")),
        (
            ("gecko:binance-peg-dogecoin", "doge", "Binance-Peg Dogecoin"),
            ("paprika:doge-dogecoin", "DOGE", "Dogecoin"),
        ),
        (("gecko:0x-wormhole", "zrx", "0x (Wormhole)"), ("paprika:zrx-0x", "ZRX", "0x")),
        (
            ("gecko:usd-coin-avalanche-bridged-usdc-e", "usdc", "USD Coin"),
            ("paprika:usdc-usd-coin", "USDC", "USD Coin"),
        ),
        (("gecko:cream-2", "cream", "Cream"), ("paprika:crm-cream", "CRM", "Cream")),
        (("gecko:page", "page", "Page"), ("paprika:pgx-page", "PGX", "Page Network")),
        (("gecko:maza", "mzc", "Maza"), ("paprika:maza-maza", "MAZA", "Maza")),
        (("gecko:x-peg", "x", "Pegged X"), ("paprika:px-x-peg", "PX", "Pegged X")),
        (("gecko:bitcoin", "btc", "Bitcoin"), ("paprika:btc-itcoin", "BTC", "\u0412itcoin")),
        (("gecko:nameless", "", "Nameless"), ("paprika:x-nameless", "", "Nameless")),
        (("gecko:x", "btc", ""), ("paprika:btc-y", "BTC", "")),
        (("csv:a:1", "BTC", "Bitcoin"), ("csv:a:9", "BTC", "Bitcoin")),
        (("csv:1", "BTC", "🦄"), ("gecko:y", "BTC", "🌈")),
    ],
)
def test_these_stay_apart_and_leave_no_question(one, other):
    assert apart(listing(*one), listing(*other))


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        (
            ("gecko:bridge-network", "brdg", "Bridge Network"),
            ("paprika:toll-bridge-protocol", "BRDG", "Bridge Protocol"),
            "weak_names",
        ),
        (
            ("gecko:aurora-finance", "aura", "Aurora Finance"),
            ("paprika:aura-aurora-dao", "AURA", "Aurora DAO"),
            "weak_names",
        ),
        (
            ("gecko:loom-network-new", "loom", "Loom Network (NEW)"),
            ("paprika:loom-loom-network", "LOOM", "Loom Network"),
            "versions_differ",
        ),
        (
            ("gecko:bittorrent", "btt", "BitTorrent"),
            ("paprika:btt-bittorrent", "BTT", "BitTorrent (Old Chain)"),
            "versions_differ",
        ),
        (
            ("gecko:terra-luna", "luna", "Terra"),
            ("paprika:luna-terra-v2", "LUNA", "Terra"),
            "versions_differ",
        ),
        (
            ("gecko:golem", "glm", "Golem"),
            ("paprika:gnt-golem", "GNT", "Golem"),
            "symbols_differ",
        ),
        (("gecko:a", "apl", "Alpha DAO"), ("paprika:apl-b", "APL", "Alpha Finance"), "weak_names"),
        (("gecko:kyber", "knc", "Kyber Crystal"), ("paprika:knc-k", "KNC", "Kyber"), "weak_names"),
    ],
)
def test_these_are_for_a_person_to_decide(one, other, why):
    resolution = resolve([listing(*one), listing(*other)], [])

    assert len(resolution.clusters) == 2
    assert [match.evidence["why"] for match in resolution.matches] == [why]


def test_fourteen_coins_of_one_symbol_find_each_its_own():
    names = ["Metadium", "Metaverse", "Metacoin", "MetaDAO", "Metaplex", "MetaShib", "Metafy"]
    names += ["Metanyx", "Metapay", "Meta Gold", "Meta Moon", "Meta Inu", "Metal", "Meta City"]
    gecko = [listing(f"gecko:g{n}", "meta", name) for n, name in enumerate(names)]
    paprika = [listing(f"paprika:meta-p{n}", "META", name) for n, name in enumerate(names)]

    resolution = resolve([*gecko, *paprika], [])

    assert all(together(resolution, *pair) for pair in zip(gecko, paprika, strict=True))
    assert len(resolution.matches) == 14


def test_a_name_that_is_the_symbol_again_is_no_more_than_a_symbol_others_share():
    gecko = listing("gecko:degenerator", "meme", "Meme")
    paprika = listing("paprika:meme-meme", "MEME", "Meme")
    other = listing("gecko:memetic", "meme", "Memetic")

    assert together(resolve([gecko, paprika], []), gecko, paprika)
    resolution = resolve([gecko, paprika, other], [])
    assert len(resolution.clusters) == 3
    assert verdicts(resolution) == [("symbol_and_name", "name_is_symbol")]


def test_both_sources_may_know_a_coin_by_nothing_but_its_symbol():
    eos = listing("gecko:eos", "eos", "EOS")
    paprika_eos = listing("paprika:eos-eos", "EOS", "EOS")
    other = listing("paprika:eos-eos-force", "EOS", "EOS Force")

    assert together(resolve([eos, paprika_eos, other], []), eos, paprika_eos)


def test_a_file_s_id_that_is_the_symbol_says_no_more_than_the_symbol():
    eos = listing("csv:mine:eos", "eos", "EOS")
    paprika_eos = listing("paprika:eos-eos", "EOS", "EOS")
    other = listing("paprika:eos-eos-force", "EOS", "EOS Force")

    assert len(resolve([eos, paprika_eos, other], []).clusters) == 3


def test_numbers_that_files_count_with_are_no_names():
    assert apart(listing("csv:a:7", "ABC", "Alpha"), listing("csv:b:7", "ABC", "Beta"))


def test_a_symbol_that_others_share_is_no_word_that_tells():
    armor, finance = (
        listing("gecko:armor", "armor", "ARMOR"),
        listing("paprika:armor-armor-finance", "ARMOR", "Armor Finance"),
    )

    assert together(resolve([armor, finance], []), armor, finance)
    assert apart(armor, finance, listing("paprika:armor-knight", "ARMOR", "Knight"))


def test_an_id_does_not_link_past_a_name_that_is_in_doubt():
    gecko = listing("gecko:letters", "abc", "Alphabet", price_usd="1")
    named = listing("paprika:abc-alphabet", "ABC", "Alphabet", price_usd="9")
    by_id = listing("paprika:abc-letters", "ABC", "Writings")

    resolution = resolve([gecko, named, by_id], [])

    assert len(resolution.clusters) == 3
    assert verdicts(resolution) == [("symbol_and_name", "prices_differ")]


def test_a_name_that_a_source_has_twice_is_a_question_with_each_candidate():
    golden = listing("gecko:golden-goose", "glc", "Goldcoin")
    new, old = (
        listing("paprika:glc-gold", "GLC", "GoldCoin"),
        listing("paprika:gld-g", "GLC", "Goldcoin"),
    )

    resolution = resolve([golden, new, old], [])

    assert len(resolution.clusters) == 3
    assert verdicts(resolution) == [("symbol_and_name", "namesakes")] * 2
    assert all(match.evidence["namesakes"] == 1 for match in resolution.matches)


def test_an_id_made_of_the_name_tells_the_coin_from_its_namesake():
    namesake = listing("gecko:bitcoin-2", "btc", "Bitcoin")

    resolution = resolve([BITCOIN, PAPRIKA_BITCOIN, namesake], [])

    assert together(resolution, BITCOIN, PAPRIKA_BITCOIN)
    assert verdicts(resolution) == [("symbol_and_slug", "linked")]


def test_an_id_of_an_earlier_name_tells_nothing_of_namesakes():
    snx = listing("gecko:havven", "snx", "Synthetix Network Token")
    old = listing("paprika:hav-havven", "SNX", "Synthetix Network Token")
    new = listing("paprika:snx-synthetix-network-token", "SNX", "Synthetix Network Token")

    assert len(resolve([snx, old, new], []).clusters) == 3


def test_more_namesakes_than_anybody_could_pick_from_are_no_question():
    many = [listing(f"gecko:coin-{n}", "abc", "Alphabet") for n in range(6)]

    assert apart(*many, listing("paprika:abc-letters", "ABC", "Alphabet"))
