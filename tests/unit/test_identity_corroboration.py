from datetime import timedelta

import pytest

from tests.fakes.listings import NOON, listing
from worker.identity.resolver.corroboration import (
    compare_market_caps,
    compare_newest_prices,
    compare_supplies,
)


def priced(price, at=NOON):
    return listing("gecko:x", "x", "X", price_usd=price, observed_at=at)


@pytest.mark.parametrize(
    ("one", "other", "accord"),
    [
        ("100", "110", "agree"),
        ("100", "110.000000000000000000000000000000001", "unknown"),
        ("100", "200", "unknown"),
        ("100", "200.000000000000000000000000000000001", "differ"),
        ("1e-30", "3e-30", "differ"),
        ("0", "3", "unknown"),
        ("0", "0", "unknown"),
        (None, "3", "unknown"),
    ],
)
def test_prices_agree_within_a_tenth_and_differ_beyond_twice(one, other, accord):
    assert compare_newest_prices(priced(one), priced(other)).accord == accord
    assert compare_newest_prices(priced(other), priced(one)).accord == accord


def test_prices_are_compared_at_nearly_the_same_time_only():
    hour = timedelta(hours=1)

    assert compare_newest_prices(priced("1"), priced("9", NOON + hour)).accord == "differ"
    later = priced("9", NOON + hour + timedelta(seconds=1))
    assert compare_newest_prices(priced("1"), later).accord == "unknown"


def test_market_caps_of_sources_that_count_otherwise_do_not_differ():
    small, large = (listing("gecko:x", "x", "X", market_cap_usd=cap) for cap in ("1e6", "9e6"))

    assert compare_market_caps(small, large) == "unknown"


def supplied(*supplies):
    names = ("circulating_supply", "total_supply", "max_supply")
    return listing("gecko:x", "x", "X", **dict(zip(names, supplies, strict=False)))


@pytest.mark.parametrize(
    ("one", "other", "accord"),
    [
        (("18741512",), ("18741500",), "agree"),
        (("20028762",), ("20028312",), "agree"),
        ((None, "1000000000"), (None, "1000000000"), "unknown"),
        ((None, "999999998"), (None, "999876123"), "unknown"),
        ((None, None, "21000000"), (None, None, "21000000"), "unknown"),
        (("18741512", None, "21000000"), ("18741500", None, "900000000"), "agree"),
        (("1000",), ("900000",), "differ"),
        (("1000", "5000000"), ("900000", "5000000"), "unknown"),
        (("0",), ("900000",), "unknown"),
        ((), (), "unknown"),
    ],
)
def test_supplies_agree_where_they_are_telling(one, other, accord):
    assert compare_supplies(supplied(*one), supplied(*other)) == accord
    assert compare_supplies(supplied(*other), supplied(*one)) == accord


def test_no_digit_of_a_long_price_is_rounded_away():
    tenth_more = "11" + "0" * 59

    assert compare_newest_prices(priced("1" + "0" * 60), priced(tenth_more)).accord == "agree"
    assert (
        compare_newest_prices(priced("1" + "0" * 60), priced(tenth_more[:-1] + "1")).accord
        == "unknown"
    )
