"""Cells that need normalising: unknown values, footnotes, times of spreadsheets; known headers."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from marshmallow import ValidationError

from tests.fakes.csv_files import SavedFile
from worker.sources.csv.cells.columns import find_columns
from worker.sources.csv.cells.numbers import NumberCell, parse_number
from worker.sources.csv.cells.times import TimeParser

HEADER = "date,symbol,name,price_usd,market_cap_usd,circulating_supply"


def table(*rows: str) -> str:
    return "\n".join([HEADER, *rows]) + "\n"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("8,999,999,999*", "8999999999"),
        ("1.25 **", "1.25"),
        ("$1.38M†", "1380000"),
        ("1.5[1]", "1.5"),
        ("2¹", "2"),
    ],
)
def test_a_footnote_mark_is_not_part_of_a_number(text, number):
    assert parse_number(text) == Decimal(number)


@pytest.mark.parametrize("text", ["?**", "- -", "N / A"])
def test_words_for_an_unknown_value_may_have_marks_and_spaces(text):
    assert parse_number(text) is None


def test_declared_words_stand_for_a_value_that_is_not_known(tmp_path):
    file = SavedFile(
        tmp_path, table("2017-07-17,FRK,Franko,0.09,Low Vol,?"), 'unknown = ["low vol"]'
    )

    (observed,) = file.observed()

    assert (observed.market_cap_usd, observed.notes) == (None, ())


def test_an_unreadable_value_beside_the_price_is_null_with_a_note(tmp_path):
    (observed,) = SavedFile(tmp_path, table("2017-07-17,FRK,Franko,0.09,Low Vol,-5")).observed()

    assert observed.price_usd == Decimal("0.09")
    assert (observed.market_cap_usd, observed.circulating_supply) == (None, None)
    assert observed.notes == (
        ("market_cap_usd", "not a number: 'Low Vol'"),
        ("circulating_supply", "negative: -5"),
    )


def test_an_unreadable_price_refuses_the_row(tmp_path):
    rows = ["2017-07-17,FRK,Franko,soon,7,7", "2017-07-18,FRK,Franko,1,7,7"]

    assert SavedFile(tmp_path, table(*rows)).reasons() == [
        ["price_usd: not a number: 'soon'"],
        [],
    ]


def test_a_row_of_unreadable_values_alone_says_why_it_is_refused(tmp_path):
    content = "date,symbol,name,market_cap_usd\n2017-07-17,FRK,Franko,Low Vol\n"

    assert SavedFile(tmp_path, content).reasons() == [["market_cap_usd: not a number: 'Low Vol'"]]


def test_a_row_without_any_value_is_not_an_observation(tmp_path):
    rows = [
        "2009-01-03,BTC,Bitcoin,,,0",
        "2010-07-18,BTC,Bitcoin,0.08584,null,3447800",
        "2010-07-19,BTC,Bitcoin,NaN,-,",
    ]
    file = SavedFile(tmp_path, table(*rows))

    assert file.prices() == ["0.08584"]
    reading = file.reading()
    assert (reading.without_value, reading.first_without_value) == (2, "prices.csv, line 2")


def test_headers_of_known_providers_are_recognised():
    headers = ["time", "PriceUSD", "CapMrktCurUSD", "SplyCur", "CapRealUSD", "AdrActCnt"]

    columns = find_columns(headers, {"values": {"symbol": "BTC", "name": "Bitcoin"}})

    assert not columns.questions
    assert columns.headers == {
        "observed_at": "time",
        "price_usd": "PriceUSD",
        "market_cap_usd": "CapMrktCurUSD",
        "circulating_supply": "SplyCur",
    }


def test_read_and_left_out_columns_are_reported(tmp_path):
    reading = SavedFile(
        tmp_path, "date,symbol,name,open,price_usd\n2024-01-14,BTC,Bitcoin,1,2\n"
    ).reading()

    assert reading.columns == {
        "symbol": "symbol",
        "name": "name",
        "observed_at": "date",
        "price_usd": "price_usd",
    }
    assert reading.left_out == ["open"]
    assert reading.is_end


def test_nanoseconds_since_1970_are_a_time():
    assert TimeParser().parse("1609459200000000999") == datetime(2021, 1, 1, tzinfo=UTC)


def test_the_serial_numbers_of_excel_are_read_as_declared():
    parser = TimeParser("excel")

    assert parser.parse("44371") == datetime(2021, 6, 24, tzinfo=UTC)
    assert parser.parse("44371.5416666667") == datetime(2021, 6, 24, 13, tzinfo=UTC)
    assert parser.parse("2021-06-24") == datetime(2021, 6, 24, tzinfo=UTC)
    with pytest.raises(ValueError, match="not a time in a known or declared format"):
        TimeParser().parse("44371")


def test_the_date_format_of_excel_is_suggested(tmp_path):
    file = SavedFile(tmp_path, table("44371,BTC,Bitcoin,31676.69,,"))

    assert file.asked() == {"date_format": "excel"}
    assert "Excel's number for 2021-06-24" in str(file.refusal())


def test_a_comma_after_a_date_is_ignored():
    assert TimeParser().parse("May 15, 2022,") == datetime(2022, 5, 15, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2/28/2023 0:0", "2/28/2023 00:00", "2/28/2023"])
def test_a_midnight_of_excel_is_one(text):
    assert TimeParser("month-first").parse(text) == datetime(2023, 2, 28, tzinfo=UTC)


def test_an_epoch_that_lost_digits_says_so():
    with pytest.raises(ValueError, match="an epoch time whose last digits were lost"):
        TimeParser().parse("1.67754E+12")


def test_the_one_of_two_columns_whose_cells_fit_is_suggested_at_once(tmp_path):
    content = "unix,date,symbol,name,close\n1.67754E+12,2/28/2023 0:0,BTC,Bitcoin,23129.61\n"
    file = SavedFile(tmp_path, content)

    assert file.asked() == {"currency": "", "columns": {"observed_at": "date"}}
    assert "'unix' has '1.67754E+12', an epoch time that lost its last digits" in str(
        file.refusal()
    )


def test_a_price_column_that_holds_no_number_is_not_suggested(tmp_path):
    content = "Price,Close\n2024-12-30,92643.2\n2024-12-31,93429.2\n"
    file = SavedFile(tmp_path, content, '[values]\nsymbol = "BTC"\nname = "Bitcoin"\n')

    assert file.asked()["columns"] == {"price_usd": "Close", "observed_at": "Price"}

    file.declare('currency = "USD"\n[columns]\nprice_usd = "Price"\n[values]\nsymbol = "BTC"\n')
    assert "'Price' has '2024-12-30', which is not a number" in str(file.refusal())


@pytest.mark.parametrize(
    ("text", "reason"), [("soon", "not a number: 'soon'"), ("€5", "not a number: '€5'")]
)
def test_a_text_that_is_not_a_number_with_either_mark_has_no_hint(text, reason):
    with pytest.raises(ValidationError) as caught:
        NumberCell().deserialize(text)

    assert caught.value.messages == [reason]
