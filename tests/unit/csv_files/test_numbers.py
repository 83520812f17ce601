from decimal import Decimal

import pytest
from marshmallow import ValidationError

from worker.sources.csv.cells.numbers import NumberCell, has_ambiguous_mark, parse_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("8746.6", "8746.6"),
        (" 8,746.6 ", "8746.6"),
        ("10,123", "10123"),
        ("1,234,567,890", "1234567890"),
        ("1 234 567", "1234567"),
        ("1\u00a0234.5", "1234.5"),
        ("1'234.5", "1234.5"),
        ("$1,234.50", "1234.50"),
        ("1.38M", "1380000"),
        ("610.66K", "610660"),
        ("$2.1 b", "2100000000"),
        ("1.5T", "1500000000000"),
        ("2.84909E+11", "284909000000"),
        ("2.47e-05", "0.0000247"),
        (".5", "0.5"),
        ("7.", "7"),
        ("-3", "-3"),
        ("0.22872099999999998", "0.22872099999999998"),
        ("123456789012345678901234567890.123456789", "123456789012345678901234567890.123456789"),
    ],
)
def test_a_number_is_read_as_exports_write_it(text, number):
    assert parse_number(text) == Decimal(number)


def test_no_digit_and_no_trailing_zero_is_lost():
    assert str(parse_number("21000000.0")) == "21000000.0"
    assert str(parse_number("1.2345678901234567890123456789012345678901")).endswith("78901")
    assert f"{parse_number('1.23456789012345678901234567890123M'):f}" == (
        "1234567.89012345678901234567890123"
    )


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1234,5", "1234.5"),
        ("1.234,5", "1234.5"),
        ("1.234", "1234"),
        ("1.234.567", "1234567"),
        ("1,234", "1.234"),
        ("2,5M", "2500000"),
        ("2,84909E+11", "284909000000"),
    ],
)
def test_a_declared_decimal_comma_is_one(text, number):
    assert parse_number(text, comma=True) == Decimal(number)


@pytest.mark.parametrize(
    "text", ["", "  ", "-", "--", "N/A", "NaN", "nan", "null", "None", "#N/A", "?", "—", "$ -"]
)
def test_words_for_an_unknown_value_are_unknown(text):
    assert parse_number(text) is None


@pytest.mark.parametrize(
    "text",
    [
        *(
            "7.83%",
            "abc",
            "1,23",
            "12,34,567",
            "1,2345",
            "1.2.3",
            "1e5M",
            "€5",
            "M",
            "1e99999",
        ),
        *("Infinity", "0x10", "1_000", "١٢", "5 USD", "1,234 567", "--5", "1.234,5"),
    ],
)
def test_anything_else_is_not_a_number(text):
    with pytest.raises(ValueError, match=r".+"):
        parse_number(text)


@pytest.mark.parametrize("text", ["1.5", "1,234.5", "1,234,567", "abc", "a, b"])
def test_a_comma_that_can_only_separate_thousands_is_not_ambiguous(text):
    assert not has_ambiguous_mark(text)


@pytest.mark.parametrize("text", ["1,234", "1234,5", "1.234,5", "$1,234", "0,5"])
def test_a_comma_that_may_be_a_decimal_mark_is_ambiguous(text):
    assert has_ambiguous_mark(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("-5", "negative: -5"), ("1e400", "beyond any market's figures"), ("x", "not a number: 'x'")],
)
def test_a_rejected_amount_gives_the_reason(text, reason):
    with pytest.raises(ValidationError, match=reason):
        NumberCell().deserialize(text)


def test_zero_is_a_value_unless_declared_unknown():
    assert NumberCell().deserialize("0.00") == 0
    assert NumberCell(zero_is_unknown=True).deserialize("0.00") is None
