import tomllib
from pathlib import Path

import pytest

from shared.errors import SourceError
from worker.sources.csv.cells.columns import find_columns
from worker.sources.csv.declaration import read_declaration, row_declaration, toml_text
from worker.sources.csv.findings import derive_findings
from worker.sources.csv.first_rows import FirstRows

KAGGLE = ["SNo", "Name", "Symbol", "Date", "High", "Low", "Open", "Close", "Volume", "Marketcap"]
INVESTING = ["Date", "Price", "Open", "High", "Low", "Vol.", "Change %"]


def declaration(folder: Path, text: str) -> Path:
    path = folder / "prices.csv.toml"
    path.write_text(text)
    return path


def asked(headers, declared=None):
    return {question.key for question in find_columns(headers, declared or {}).questions}


def test_columns_of_known_names_are_found_under_any_spelling():
    headers = ["", "ID", "Ticker", "Coin Name", "Price (USD)", "marketCapUsd", "24h_volume_usd"]
    headers += ["Available Supply", "total-supply", "maxSupply", "Last Updated", "price_btc"]

    columns = find_columns(headers, {})

    assert not columns.questions
    assert columns.headers == {
        "id": "ID",
        "symbol": "Ticker",
        "name": "Coin Name",
        "observed_at": "Last Updated",
        "price_usd": "Price (USD)",
        "market_cap_usd": "marketCapUsd",
        "volume_24h_usd": "24h_volume_usd",
        "circulating_supply": "Available Supply",
        "total_supply": "total-supply",
        "max_supply": "maxSupply",
    }


def test_a_header_that_names_dollars_goes_before_one_that_does_not():
    columns = find_columns(["id", "symbol", "name", "date", "price", "price_usd"], {})

    assert columns.headers["price_usd"] == "price_usd"
    assert not columns.questions


@pytest.mark.parametrize("header", ["Price (€)", "price_btc", "Price change %", "price_eur"])
def test_a_price_in_something_else_is_not_a_price(header):
    assert asked(["id", "symbol", "name", "date", header]) == {"price_usd"}


def test_the_currency_is_asked_for_where_no_header_names_it():
    def asked(headers, declared):
        columns = find_columns(headers, declared)
        first = FirstRows("prices.csv", ",", headers, columns, declared, [])
        return {question.key for question in derive_findings(first).questions}

    assert asked(KAGGLE, {}) == {"currency", "ignore"}
    assert asked(KAGGLE, {"currency": "USD", "ignore": ["Volume"]}) == set()
    declared = {"columns": {"price_usd": "Close", "volume_24h_usd": "Volume"}}
    assert asked(KAGGLE, declared) == {"currency"}
    declared["columns"]["market_cap_usd"] = "Marketcap"
    assert asked(KAGGLE, declared) == {"currency"}
    assert asked(KAGGLE, {**declared, "currency": "USD"}) == set()


def test_a_volume_in_the_coin_s_own_unit_is_not_read_as_dollars():
    columns = find_columns(INVESTING, {"currency": "USD", "values": {"symbol": "X", "name": "Y"}})

    assert not columns.questions
    assert "volume_24h_usd" not in columns.headers


def test_a_file_without_symbol_name_and_time_is_asked_for_all_of_them():
    assert asked(["price_usd"]) == {"symbol", "name", "observed_at"}


def test_two_columns_that_may_be_one_field_are_asked_about():
    headers = ["slug", "id", "symbol", "name", "date", "price_usd"]

    assert asked(headers) == {"id"}
    assert find_columns(headers, {"ignore": ["id"]}).headers["id"] == "slug"
    assert find_columns(headers, {"columns": {"id": "id"}}).headers["id"] == "id"


def test_a_declared_column_that_is_not_there_is_asked_about():
    columns = find_columns(["id", "symbol", "name", "date"], {"columns": {"price_usd": "Close"}})

    assert [question.why for question in columns.questions] == [
        "no column 'Close'; the columns are 'id', 'symbol', 'name', 'date'"
    ]


def test_a_constant_goes_before_a_column():
    declared = {"values": {"name": "Bitcoin"}}

    assert (
        "name" not in find_columns(["id", "symbol", "name", "date", "price_usd"], declared).headers
    )


def test_the_suggested_declaration_is_toml_and_keeps_declared_keys():
    declared = {"decimal": "comma", "columns": {"price_usd": 'Close "adj"'}}

    text = toml_text(declared, find_columns(["Marketcap", 'Close "adj"'], declared).questions)

    assert tomllib.loads(text) == {
        "decimal": "comma",
        "columns": {"price_usd": 'Close "adj"'},
        "values": {"symbol": "", "name": "", "observed_at": ""},
    }


def test_every_key_of_a_declaration_is_read(tmp_path):
    path = declaration(
        tmp_path,
        """
        delimiter = "\\t"
        encoding = "latin-1"
        currency = "USD"
        decimal = "comma"
        date_format = "%d.%m.%Y"
        timezone = "Europe/Berlin"
        time_of_day = 23:59:59
        namespace = "kaggle"
        zero_is_unknown = ["volume_24h_usd"]
        ignore = ["Volume"]
        [columns]
        price_usd = "Close"
        [values]
        id = "bitcoin"
        symbol = "BTC"
        name = "Bitcoin"
        observed_at = "01.05.2016"
        """,
    )

    declared = read_declaration(path)

    assert declared["time_of_day"] == "23:59:59"
    assert declared["values"]["observed_at"] == "01.05.2016"
    assert row_declaration(declared).keys() == declared.keys() - {"delimiter", "encoding"}


def test_a_toml_time_is_stored_as_text(tmp_path):
    path = declaration(tmp_path, "[values]\nobserved_at = 2024-05-01T00:00:00Z")

    assert read_declaration(path) == {"values": {"observed_at": "2024-05-01T00:00:00+00:00"}}


def test_keys_that_do_not_affect_the_row_are_not_stored_with_it():
    assert row_declaration({"encoding": "latin-1", "delimiter": ";"}) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('colour = "red"', "colour: is not a key of a declaration"),
        ('[columns]\nclose = "Close"', "columns.close: is not a key of a declaration"),
        ('[values]\nsymbol = ""', "values.symbol: is empty"),
        ('currency = "EUR"', "currency: 'EUR' is not supported; only 'USD' is"),
        ('encoding = "ebcdic"', "encoding: 'ebcdic' is not one of 'utf-8'"),
        ('delimiter = ":"', "delimiter: ':' is not one of"),
        ('date_format = "%d.%m"', "date_format: '%d.%m' is not 'day-first'"),
        ('date_format = "either"', "date_format: 'either' is not 'day-first'"),
        ('timezone = "Mars/Olympus"', "timezone: 'Mars/Olympus' is not a time zone"),
        ('time_of_day = "25:00"', "time_of_day: '25:00' is not a time of day such as '23:59:59'"),
        ('namespace = "My Files"', "namespace: 'My Files' must consist of lower-case letters"),
        ('zero_is_unknown = ["price"]', "zero_is_unknown.0: 'price' is not one of 'price_usd'"),
        ('[columns]\nname = "N"\n[values]\nname = "X"', "values.name: is also under [columns]"),
        (
            '[values]\nobserved_at = "1.5.2016"',
            "values.observed_at: '1.5.2016' may have the day or",
        ),
        ("currency = USD", "prices.csv.toml: Invalid value"),
    ],
)
def test_a_wrong_declaration_says_which_key_and_why(tmp_path, text, reason):
    with pytest.raises(SourceError) as caught:
        read_declaration(declaration(tmp_path, text))

    assert reason in str(caught.value)
    assert caught.value.code == "declaration"


def test_all_invalid_keys_are_reported_at_once(tmp_path):
    path = declaration(tmp_path, 'colour = "red"\ncurrency = "EUR"')

    with pytest.raises(SourceError, match=r"(?s)currency: .*; colour: |colour: .*; currency: "):
        read_declaration(path)
