"""Files without a price in US dollars are refused without questions."""

import pytest

from tests.fakes.csv_files import SavedFile

NO_DOLLARS = "this file has no price in US dollars and cannot be imported as it is: "


def refusal(folder, header: str, *rows: str, declared: str = "") -> str:
    error = SavedFile(folder, "\n".join([header, *rows]) + "\n", declared).refusal()
    assert error.code == "declaration", error
    return str(error)


@pytest.mark.parametrize(
    ("header", "row", "why"),
    [
        ("date,symbol,name,price_inr", "2024-05-01,BTC,Bitcoin,1.5", "'price_inr' names INR"),
        ("date,price_gbp,cap_gbp", "2024-05-01,1.5,2", "'price_gbp' names GBP"),
        ("Preis (€);Datum", "1,5;01.02.2021", "'Preis (€)' names EUR"),
        ("date,symbol,name,price", "2024-05-01,BTC,Bitcoin,€1.5", "'price' has '€1.5'"),
        ("date,symbol,name,price_usd", "2024-05-01,BTC,Bitcoin,€1.5", "'price_usd' has '€1.5'"),
        (
            "date,symbol,name,price,vs_currency",
            "2024-05-01,BTC,Bitcoin,1.5,eur",
            "'vs_currency' has 'eur', and none of its first 1 rows is in US dollars",
        ),
        ("date,symbol,name,price,unit", "2024-05-01,BTC,Bitcoin,1.5,€", "'unit' has '€'"),
        ("date,symbol,name,price", "2024-05-01,BTC/EUR,Bitcoin,1.5", "are priced in 'EUR'"),
        ("date,symbol,name,price", "2024-05-01,BTCEUR,Bitcoin,1.5", "are priced in 'EUR'"),
        ("date,symbol,name,price_usd", "2024-05-01,ETH/BTC,Ether,1.5", "are priced in 'BTC'"),
    ],
)
def test_a_file_without_a_price_in_dollars_is_refused_as_such(tmp_path, header, row, why):
    message = refusal(tmp_path, header, row)

    assert NO_DOLLARS in message
    assert why in message
    assert "To read it, export it with prices in US dollars, or declare the column" in message


def test_what_later_rows_would_need_is_named(tmp_path):
    header = "date,symbol,name,price,unit"
    later = [f"2024-05-{day:02},BTC,Bitcoin,1,EUR" for day in range(1, 22)]
    rows = [*later, "2024-05-30,BTC,Bitcoin,1,USD"]
    assert '[columns] currency = "unit"' in refusal(tmp_path, header, *rows)

    content = "\n".join([header, *rows])
    file = SavedFile(tmp_path, content, '[columns]\ncurrency = "unit"\n')
    assert [bool(each) for each in file.reasons()] == [True] * 21 + [False]

    header = "date,symbol,name,price_usd"
    assert "pair_symbols = true" in refusal(tmp_path, header, "2024-05-01,BTC/EUR,Bitcoin,1")


@pytest.mark.parametrize(
    ("header", "row", "asked"),
    [
        ("date,symbol,name,price_inr,last", "2024-05-01,BTC,Bitcoin,9,1.5", {"price_usd": "last"}),
        ("date,symbol,name,price_inr,x", "2024-05-01,BTC,Bitcoin,9,1.5", {"price_usd": ""}),
        (
            "date,symbol,name,price,market_cap_usd",
            "2024-05-01,BTC,Bitcoin,€9,1",
            {"price_usd": ""},
        ),
        ("date,symbol,name,price_usd,unit", "2024-05-01,BTC,Bitcoin,9,EUR", {"currency": "unit"}),
    ],
)
def test_a_file_that_may_have_dollars_is_asked(tmp_path, header, row, asked):
    assert SavedFile(tmp_path, f"{header}\n{row}\n").asked()["columns"] == asked


def test_a_declared_price_in_another_currency_says_that_there_is_no_other(tmp_path):
    header, row = "date,symbol,name,price_inr", "2024-05-01,BTC,Bitcoin,1.5"
    declared = '[columns]\nprice_usd = "price_inr"\n'

    assert NO_DOLLARS.rstrip(": ") in refusal(tmp_path, header, row, declared=declared)
    message = refusal(tmp_path, f"{header},last", f"{row},1", declared=declared)
    assert "the price may be 'last'" in message


def test_another_value_in_another_currency_can_be_left_out(tmp_path):
    header, row = "date,symbol,name,price_usd,cap_inr", "2024-05-01,BTC,Bitcoin,1.5,9"
    declared = '[columns]\nmarket_cap_usd = "cap_inr"\n'

    message = refusal(tmp_path, header, row, declared=declared)

    assert message.endswith("or remove market_cap_usd from [columns]")
