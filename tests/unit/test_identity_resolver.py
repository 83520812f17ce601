from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import permutations

import pytest

from tests.fakes.listings import NOON, apart, listing, ruling, together, verdicts
from worker.identity.evidence import Candidate
from worker.identity.resolver import resolve

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


# Contracts


def contract(*pairs):
    return {"contracts": pairs}


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


# Values


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


# Rulings


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
