"""Trading pairs as symbols: the coin is read or asked about; a pair never becomes a symbol."""

import pytest

from tests.fakes.csv_files import SavedFile
from worker.sources.csv.cells.pairs import is_ambiguous_pair, is_certain_pair, is_future, read_pair

HEADER = "date,symbol,name,price_usd"


@pytest.mark.parametrize(
    ("symbol", "pair"),
    [
        ("BTC/USD", ("BTC", "USD")),
        ("btc-usdt", ("btc", "USDT")),
        ("BTCUSDT", ("BTC", "USDT")),
        ("XBTUSD", ("XBT", "USD")),
        ("DOTUSD", ("DOT", "USD")),
        ("ETHBUSD", ("ETH", "BUSD")),
        ("ETHBTC", ("ETH", "BTC")),
        ("USDCUSDT", ("USDC", "USDT")),
        *((each, ("BTC", "USDT")) for each in ("BTC/USDT:USDT", "BINANCE:BTCUSDT", "BTCUSDT.P")),
        *((each, ("BTC", "USDT")) for each in ("BTC-USDT-SWAP", "BTCUSDT_240628", "tBTC:USDT")),
        *((each, ("BTC", "USD")) for each in ("BTC USD", "BTC / USD", "tBTCUSD", "BTCUSD_PERP")),
        *((each, ("XBT", "USD")) for each in ("XBT/USD:KRAKEN", "XXBTZUSD")),
        ("tDUSK:USD", ("DUSK", "USD")),
        ("XETHXXBT", ("ETH", "XBT")),
        *((f"{coin}FDUSD", (coin, "FDUSD")) for coin in ("BTC", "ETH", "PEPE")),
        ("BTCPYUSD", ("BTC", "PYUSD")),
        ("BTCTUSD", ("BTC", "TUSD")),
        *(
            (coin, None)
            for coin in (
                "BTC",
                "FDUSD",
                "TUSD",
                "USDT",
                "WBTC",
                "Bitcoin",
                "",
                "PERP",
                "tBTC",
                "USDC.E",
                "paid EUR",
            )
        ),
    ],
)
def test_a_trading_pair_is_a_coin_and_the_currency_of_its_price(symbol, pair):
    assert read_pair(symbol) == pair


@pytest.mark.parametrize("symbol", ["BTC/USD", "BTCUSD"])
def test_the_coin_of_a_pair_against_the_dollar_is_read(tmp_path, symbol):
    content = f"date,symbol,close\n2021-05-05,{symbol},67281.5\n"
    file = SavedFile(tmp_path, content, '[values]\nname = "Bitcoin"\n')

    (observed,) = file.observed()

    assert (observed.symbol, observed.external_id) == ("BTC", "btc-bitcoin")
    settled = file.reading().settled
    assert f"'symbol' holds trading pairs; the coin of '{symbol}' is read" in settled


def test_a_pair_against_a_stablecoin_counts_as_dollars_only_if_declared(tmp_path):
    content = f"{HEADER}\n2021-05-05,BTCUSDT,Bitcoin,67281.5\n"
    file = SavedFile(tmp_path, content)

    assert file.asked() == {"as_usd": []}

    file.declare('as_usd = ["USDT"]')
    assert [each.symbol for each in file.observed()] == ["BTC"]


def test_a_pair_in_another_currency_is_refused_unless_it_is_the_symbol_of_a_coin(tmp_path):
    file = SavedFile(tmp_path, f"{HEADER}\n2021-05-05,STETH,Staked Ether,3500\n")

    assert file.asked() == {"pair_symbols": ""}

    file.declare("pair_symbols = false")
    assert [each.symbol for each in file.observed()] == ["STETH"]


def test_a_row_whose_pair_is_in_another_currency_is_refused(tmp_path):
    rows = ["2021-05-05,BTC/USD,Bitcoin,57000", "2021-05-05,BTC/EUR,Bitcoin,47000"]

    assert SavedFile(tmp_path, "\n".join([HEADER, *rows])).reasons() == [
        [],
        ["symbol: 'BTC/EUR' is priced in EUR, and only US dollars are read"],
    ]


def test_pairs_among_other_symbols_are_asked_about_and_later_ones_refused(tmp_path):
    rows = ["2021-05-05,BTC/USD,Bitcoin,57000", "2021-05-05,ETH,Ethereum,3400"]
    assert SavedFile(tmp_path, "\n".join([HEADER, *rows])).asked() == {"pair_symbols": True}

    coins = [f"2021-05-{day:02},ETH,Ethereum,3400" for day in range(1, 26)]
    *others, last = SavedFile(tmp_path, "\n".join([HEADER, *coins, rows[0]])).reasons()
    assert not any(others)
    assert "symbol: 'BTC/USD' is a trading pair, and the first rows have none" in last[0]


def test_a_constant_does_not_hide_that_the_pair_is_in_another_currency(tmp_path):
    content = "date,symbol,close\n2021-05-05,BTC/EUR,47000\n"
    declared = 'currency = "USD"\n[values]\nsymbol = "BTC"\nname = "Bitcoin"\n'

    error = SavedFile(tmp_path, content, declared).refusal()

    assert error.code == "declaration"
    assert "trading pairs such as BTC/EUR, and only US dollars are read" in str(error)


FUTURES = [
    *("BTC/USDT:USDT", "BTC/USD:BTC", "BTC/USDT:USDT-240628", "BTCUSDT.P", "BINANCE:BTCUSDT.P"),
    *("BTC-PERP", "BTCPERP", "BTCUSD_PERP", "BTC-USDT-SWAP", "BTCUSDT_240628", "BTC-28JUN24"),
]


@pytest.mark.parametrize("text", ["PERP", "tBTC", "USDC.E", "paid EUR", "CRYPTOCAP:TOTAL"])
def test_other_symbols_and_texts_are_no_pairs(text):
    assert read_pair(text) is None


def test_futures_are_distinguished_from_coins():
    assert [each for each in FUTURES if not is_future(each)] == []
    others = ["PERP", "SWAP", "BTC", "BTC/USD", "XBT/USD:KRAKEN", "BINANCE:BTCUSDT", "USDC.E", ""]
    assert [each for each in others if is_future(each)] == []


def test_a_possible_symbol_of_a_coin_is_not_a_certain_pair():
    own = ["STETH", "WBTC", "ENTRY", "SUSDE", "BTC", "N/A", "USDC.E", "BTC-B", "ETHBTC", ""]
    assert [each for each in own if is_certain_pair(each)] == []
    pairs = ["BTC/EUR", "BTCUSD", "BTC-PERP", "XBT/USD:KRAKEN", "CRYPTOCAP:BTC", "PEPEFDUSD"]
    assert [each for each in pairs if not is_certain_pair(each)] == []


def test_a_pair_is_ambiguous_if_its_quote_may_be_a_stablecoin():
    assert is_ambiguous_pair("PEPETUSD")
    assert is_ambiguous_pair("BINANCE:XYZBUSD")
    clear = ["DOTUSD", "BNBUSD", "SHIBUSD", "SOLUSD", "BTC/USD", "XYZT/USD", "BTCTUSD", "TUSD"]
    assert [each for each in clear if is_ambiguous_pair(each)] == []


@pytest.mark.parametrize("symbol", ["BTC USD", "tBTCUSD", "BITSTAMP:BTCUSD", "BTC/USD:COINBASE"])
def test_the_coin_of_a_pair_as_an_exchange_writes_it_is_read(tmp_path, symbol):
    (observed,) = SavedFile(tmp_path, f"{HEADER}\n2021-05-05,{symbol},Bitcoin,6\n").observed()

    assert (observed.symbol, observed.external_id) == ("BTC", "btc-bitcoin")


@pytest.mark.parametrize("symbol", FUTURES)
def test_a_future_is_never_read_as_its_coin_unless_that_is_declared(tmp_path, symbol):
    file = SavedFile(tmp_path, f"{HEADER}\n2021-05-05,{symbol},Bitcoin,6\n")

    assert file.asked()["pair_symbols"] == ""

    file.declare('pair_symbols = true\nas_usd = ["USDT"]\n')
    if read_pair(symbol):
        assert [each.symbol for each in file.observed()] == ["BTC"]
    else:
        assert file.reasons() == [[f"symbol: not a trading pair: {symbol!r}"]]


@pytest.mark.parametrize("symbol", ["BTCFDUSD", "PEPEPYUSD", "BTCBUSD"])
def test_a_joined_pair_against_a_stablecoin_is_not_taken_for_dollars(tmp_path, symbol):
    file = SavedFile(tmp_path, f"{HEADER}\n2021-05-05,{symbol},A coin,6\n")

    assert file.asked() == {"as_usd": []}


def test_declared_stablecoins_stay_where_another_is_asked_about(tmp_path):
    content = f"{HEADER}\n2021-05-05,BTCUSDT,Bitcoin,6\n"

    assert SavedFile(tmp_path, content, 'as_usd = ["DAI"]\n').asked() == {"as_usd": ["DAI"]}


def test_an_ambiguous_pair_is_asked_about(tmp_path):
    file = SavedFile(tmp_path, f"{HEADER}\n2021-05-05,PEPETUSD,Pepe,6\n")
    assert file.asked() == {"pair_symbols": ""}

    file.declare("pair_symbols = true")
    assert [each.symbol for each in file.observed()] == ["PEPET"]


@pytest.mark.parametrize(
    ("first", "later", "why"),
    [
        ("BTC", "BTCUSDT", "is a trading pair"),
        ("BTC", "BTC-PERP", "names a future"),
        ("BTC", "XBT/USD:KRAKEN", "is a trading pair"),
        ("BTCUSD", "BTCUSD_PERP", "names a future"),
        ("BTCUSD", "PEPETUSD", "may be a pair against a stablecoin"),
    ],
)
def test_a_later_symbol_of_another_kind_is_refused(tmp_path, first, later, why):
    rows = [f"2021-05-{day:02},{first},Bitcoin,{day}" for day in range(1, 22)]
    content = "\n".join([HEADER, *rows, f"2021-05-22,{later},A coin,6"])

    *others, last = SavedFile(tmp_path, content).reasons()

    assert not any(others)
    assert why in last[0]


@pytest.mark.parametrize(("symbol", "answer"), [("BTCUSDT", True), ("ETH-PERP", "")])
def test_pairs_and_futures_among_other_symbols_are_asked_about(tmp_path, symbol, answer):
    rows = ["2021-05-05,BTC,Bitcoin,57000", f"2021-05-05,{symbol},A coin,3400"]

    file = SavedFile(tmp_path, "\n".join([HEADER, *rows]))

    assert file.asked() == {"pair_symbols": answer}


def test_long_texts_are_not_parsed_as_pairs():
    long = "a" + "-240628" * 100_000 + "\n"

    assert not is_future(long)
    assert read_pair(long) is None
