"""The geometry of charts, and what it says in words."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from api.dashboard.charts.axes import round_values
from api.dashboard.charts.lines import Scale, broken
from api.dashboard.charts.prices import LEFT, RIGHT, Candle, price_chart
from api.dashboard.charts.sparkline import HEIGHT, MARGIN, WIDTH, sparkline

MIDNIGHT = datetime(2026, 1, 31, tzinfo=UTC)


def candle(hour: int, *prices: int) -> Candle:
    """A candle of an hour that went through these prices; none where nothing was observed."""
    start = MIDNIGHT + timedelta(hours=hour)
    if not prices:
        return Candle(start, None, None, None, None, 0, None, None)
    first, *_, last = [Decimal(price) for price in (*prices, prices[-1])]
    return Candle(
        start,
        first,
        Decimal(max(prices)),
        Decimal(min(prices)),
        last,
        len(prices),
        start + timedelta(minutes=prices[0]),
        start + timedelta(minutes=prices[0] + 1),
    )


def test_a_line_is_broken_where_nothing_was_observed():
    a, b, c, d = [(Decimal(x), Decimal(1)) for x in range(4)]

    line = broken([None, a, b, None, c, None, None, d, a])

    assert line.parts == ["0,1 1,1", "3,1 0,1"]
    assert line.dots == [c]


def test_equal_values_lie_in_the_middle():
    assert Scale(Decimal(5), Decimal(5), Decimal(0), Decimal(10)).place(Decimal(5)) == 5


def test_marks_are_round_and_within():
    assert round_values(Decimal("33.7"), Decimal("42.2")) == [34, 36, 38, 40, 42]
    assert round_values(Decimal("0.00012"), Decimal("0.00031"))[0] == Decimal("0.00015")
    assert round_values(Decimal(7), Decimal(7)) == [7]


def test_a_sparkline_spans_its_place_and_counts_its_gaps():
    spark = sparkline([Decimal(1), None, Decimal(3), Decimal(2)])

    assert spark.line.parts == [f"79.3,{MARGIN}.0 {WIDTH - MARGIN}.0,{HEIGHT / 2}"]
    assert spark.line.dots == [(MARGIN, HEIGHT - MARGIN)]
    assert spark.direction == "up"
    assert spark.summary == (
        "7 days: from $1.00 to $2.00, lowest $1.00, highest $3.00; 1 of 4 points were not observed"
    )
    assert sparkline([Decimal(1), None]) is None


def test_a_chart_has_a_line_for_each_source_and_candles_of_all():
    chart = price_chart(
        {
            "coingecko": [candle(0, 10, 20), candle(1), candle(2, 30)],
            "coinpaprika": [candle(0, 5, 12), candle(1), candle(2)],
        },
        "1h",
        with_candles=True,
    )

    together = chart.intervals[0].candle
    assert (together.open_usd, together.high_usd, together.low_usd) == (5, 20, 5)
    assert (together.close_usd, together.sample_count) == (20, 4)
    assert {source: len(line.dots) for source, line in chart.lines.items()} == {
        "coingecko": 2,
        "coinpaprika": 1,
    }
    assert len(chart.boxes) == 2
    assert all(LEFT < box.left < RIGHT for box in chart.boxes)
    assert chart.summary.endswith("Of 3 intervals of 1h, 1 have no observation.")


def test_a_single_observation_is_a_point_with_its_value():
    alone = price_chart({"csv": [candle(0), candle(1, 30)]}, "1h", with_candles=False)
    two = price_chart({"csv": [candle(0, 5), candle(1, 30)]}, "1h", with_candles=False)
    both = price_chart({"csv": [candle(0, 5, 7)]}, "1h", with_candles=False)

    [point] = alone.lines["csv"].dots
    assert (alone.only_value.x, alone.only_value.y) == point
    assert (alone.only_value.label, alone.only_value.is_right) == ("$30.00", False)
    assert alone.summary == "One observation, at 2026-01-31 01:31 UTC: $30.00."
    assert two.only_value is None
    # In the middle, where a phone that shows the right half has no room on the left.
    assert (both.only_value.label, both.only_value.is_right) == ("$7.00", True)
    assert both.summary == (
        "2 observations, the last at 2026-01-31 00:06 UTC: $7.00; lowest $5.00, highest $7.00."
    )


def test_without_a_price_there_is_no_chart():
    assert price_chart({"csv": [candle(0)]}, "1h", with_candles=False) is None
    assert price_chart({}, "1h", with_candles=False) is None
