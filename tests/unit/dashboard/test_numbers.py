"""Amounts as the pages write them."""

from decimal import Decimal

import pytest

from api.dashboard import numbers
from api.dashboard.numbers import TIMES


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("64321.0912", "$64,321.09"),
        ("0.0000123", "$0.0000123"),
        ("0.99995", "$1.00"),
        ("0.5", "$0.50"),
        ("0.123456", "$0.1235"),
        ("1", "$1.00"),
        ("0", "$0"),
        ("-12.345", "\N{MINUS SIGN}$12.34"),
        ("1e-12", f"$1.00 {TIMES} 10⁻¹²"),
        ("1.5e20", f"$1.50 {TIMES} 10²⁰"),
        ("999999999.999", "$1,000,000,000.00"),
    ],
)
def test_a_price_has_cents_or_four_digits(amount, text):
    assert numbers.usd(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("1234567890123", "1.23 T"),
        ("999600000", "1.00 B"),
        ("345000000", "345 M"),
        ("45678", "45,678"),
        ("618431.2", "618,431"),
        ("123.5", "123.50"),
        ("0.000012345", "0.00001234"),
        ("0", "0"),
        ("2e15", "2,000 T"),
        ("1e400", f"1.00 {TIMES} 10⁴⁰⁰"),
    ],
)
def test_a_large_amount_has_three_digits(amount, text):
    assert numbers.compact(Decimal(amount)) == text


def test_a_change_has_its_sign():
    shares = [Decimal(text) for text in ("1.254", "-0.4", "0", "0.001", "12345.6")]

    assert [numbers.percent(share) for share in shares] == [
        "+1.25 %",
        "\N{MINUS SIGN}0.40 %",
        "0.00 %",
        "0.00 %",
        "+12,345.60 %",
    ]


def test_every_digit_is_there_exactly():
    text = "0.123456789012345678901234567890123456789"

    assert numbers.exact(Decimal(text)) == text
    assert numbers.exact(Decimal("1e-8")) == "0.00000001"
