"""Other currencies and stablecoins are refused, or asked about."""

import pytest

from tests.fakes.csv_files import SavedFile
from worker.sources.csv.cells.headers import currency_in_header

HEADER = "date,symbol,name,price_usd"


@pytest.mark.parametrize(
    ("header", "currency"),
    [
        *((each, "USD") for each in ("price_usd", "Closing Price (USD)", "PriceUSD", "closeusd")),
        *(
            (each, "USD")
            for each in ("Market Cap ($)", "BTC / USD Closing Price", "BTC-USD", "US$")
        ),
        *((each, "INR") for each in ("price_inr", "priceINR", "priceinr", "Price (₹)")),
        *((each, "EUR") for each in ("Price (€)", "BTC-EUR", "eur_price", "price in euro")),
        *((each, "USDT") for each in ("ETH_USDT", "Volume USDT", "closeUSDT")),
        *((each, "BTC") for each in ("price_btc", "Volume BTC", "Volume_(BTC)")),
        ("Price (A$)", "A$"),
        *((each, None) for each in ("Close", "price", "BTC", "BTC close", "Último", "Volume")),
    ],
)
def test_the_currency_that_a_header_names_is_found(header, currency):
    assert currency_in_header(header) == currency


@pytest.mark.parametrize("declared", ["", 'currency = "USD"\n'])
def test_a_currency_column_is_heeded_row_by_row(tmp_path, declared):
    rows = ["2022-01-04,BTC,Bitcoin,46458.12,USD", "2022-01-04,BTC,Bitcoin,41150.90,EUR"]
    file = SavedFile(tmp_path, "\n".join(["date,symbol,name,price,currency", *rows]), declared)

    assert file.reasons() == [[], ["currency: 'EUR', and only US dollars are read"]]


def test_an_empty_currency_is_dollars_only_where_that_is_declared(tmp_path):
    rows = ["2022-01-04,BTC,Bitcoin,46458.12,USD", "2022-01-05,BTC,Bitcoin,41150.90,"]
    file = SavedFile(tmp_path, "\n".join(["date,symbol,name,price,currency", *rows]))

    assert file.reasons() == [[], ["currency: '', and only US dollars are read"]]
    file.declare('currency = "USD"')
    assert file.reasons() == [[], []]


def test_a_column_called_currency_that_names_coins_is_suggested_as_their_symbol(tmp_path):
    content = "Currency,Date,Closing Price (USD)\nBTC,2013-10-01,123.65\n"
    file = SavedFile(tmp_path, content, '[values]\nname = "Bitcoin"\n')

    assert file.asked() == {
        "columns": {"symbol": "Currency"},
        "values": {"name": "Bitcoin"},
    }

    file.declare('[columns]\nsymbol = "Currency"\n[values]\nname = "Bitcoin"\n')
    assert file.prices() == ["123.65"]


@pytest.mark.parametrize("header", ["price_inr", "Price (€)", "Close BTC"])
def test_a_declared_column_that_names_another_currency_is_refused(tmp_path, header):
    content = f"date,symbol,name,{header}\n2025-12-08,BTC,Bitcoin,8293675\n"
    declared = f'currency = "USD"\n[columns]\nprice_usd = "{header}"\n'

    error = SavedFile(tmp_path, content, declared).refusal()

    assert error.code == "declaration"
    assert f"price_usd: the header '{header}' names " in str(error)


def test_a_declared_column_in_a_stablecoin_is_asked_about(tmp_path):
    content = "timestamp,BTC_USDT,ETH_USDT\n2025-08-31 00:08:22,108703.23,4352.77\n"
    declared = '[columns]\nprice_usd = "ETH_USDT"\n[values]\nsymbol = "ETH"\nname = "Ethereum"\n'
    file = SavedFile(tmp_path, content, declared)

    assert file.asked()["as_usd"] == []
    assert '["USDT"] to count USDT as a US dollar' in str(file.refusal())
    file.declare(f'as_usd = ["USDT"]\n{declared}')
    assert file.prices() == ["4352.77"]


def test_a_declared_price_column_is_asked_for_its_currency(tmp_path):
    content = "date,symbol,name,kurs\n2025-12-08,BTC,Bitcoin,1\n"

    assert SavedFile(tmp_path, content, '[columns]\nprice_usd = "kurs"\n').asked() == {
        "currency": "",
        "columns": {"price_usd": "kurs"},
    }


@pytest.mark.parametrize(("price", "is_refused"), [("85.96", True), ("1.002", False)])
def test_a_dollar_coin_that_costs_no_dollar_shows_another_currency(tmp_path, price, is_refused):
    content = f"date,symbol,name,price\n2025-05-01,usdt,Tether,{price}\n"
    file = SavedFile(tmp_path, content, 'currency = "USD"')

    if is_refused:
        assert "line 2: Tether costs 85.96" in str(file.refusal())
    else:
        assert file.prices() == [price]


def test_prices_with_another_currency_s_sign_are_refused_as_such(tmp_path):
    file = SavedFile(tmp_path, f"{HEADER}\n2025-05-01,BTC,Bitcoin,€85.96\n")

    assert "'price_usd' has '€85.96', and only US dollars are read" in str(file.refusal())


SUPPLIES = "date,symbol,name,price_usd,circulating_supply\n2021-08-05,BTC,Bitcoin,1,18777093\n"


def test_a_currency_sign_in_a_supply_where_other_rows_have_none_refuses_the_shifted_row(tmp_path):
    content = SUPPLIES + '2021-08-05,MATIC,Polygon,1.07,"$581,126,720"\n'

    assert SavedFile(tmp_path, content).reasons() == [
        [],
        [
            (
                "circulating_supply: '$581,126,720' has a currency sign, but counts "
                "coins; the cells of the row may be shifted"
            )
        ],
    ]


def test_a_currency_sign_in_every_supply_refuses_the_values(tmp_path):
    (observed,) = SavedFile(tmp_path, SUPPLIES.replace("18777093", "$18777093")).observed()

    assert (observed.price_usd, observed.circulating_supply) == (1, None)
    assert observed.notes == (
        ("circulating_supply", "currency sign in a number of coins: '$18777093'"),
    )
