from datetime import UTC, datetime, time

import pytest
from marshmallow import ValidationError

from worker.sources.csv.cells.times import TimeCell, TimeParser, find_day_orders


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2021-06-24T03:32:13.383Z", datetime(2021, 6, 24, 3, 32, 13, 383000, UTC)),
        ("2021-06-24T03:32:13+02:00", datetime(2021, 6, 24, 1, 32, 13, tzinfo=UTC)),
        ("2021-06-24 03:32:13", datetime(2021, 6, 24, 3, 32, 13, tzinfo=UTC)),
        ("2021-06-24 03:32:13 UTC", datetime(2021, 6, 24, 3, 32, 13, tzinfo=UTC)),
        ("2021-06-24 03:32:13.123456789 +0000", datetime(2021, 6, 24, 3, 32, 13, 123456, UTC)),
        ("2021-06-24 03:32", datetime(2021, 6, 24, 3, 32, tzinfo=UTC)),
        ("2021-06-24", datetime(2021, 6, 24, tzinfo=UTC)),
        ("2021/06/24", datetime(2021, 6, 24, tzinfo=UTC)),
        ("1515230661", datetime(2018, 1, 6, 9, 24, 21, tzinfo=UTC)),
        ("1515230661.0", datetime(2018, 1, 6, 9, 24, 21, tzinfo=UTC)),
        ("1515230661.25", datetime(2018, 1, 6, 9, 24, 21, 250000, UTC)),
        ("1515230661383", datetime(2018, 1, 6, 9, 24, 21, 383000, UTC)),
        ("1515230661383001", datetime(2018, 1, 6, 9, 24, 21, 383001, UTC)),
        ("Jan 14, 2020", datetime(2020, 1, 14, tzinfo=UTC)),
        ("January 4 2020", datetime(2020, 1, 4, tzinfo=UTC)),
        ("14-May-2020", datetime(2020, 5, 14, tzinfo=UTC)),
        ("14 Sept 2020 1:05 PM", datetime(2020, 9, 14, 13, 5, tzinfo=UTC)),
        ("Dec 31, 2020, 12:30:00 AM", datetime(2020, 12, 31, 0, 30, tzinfo=UTC)),
    ],
)
def test_a_time_in_a_known_format_needs_no_declaration(text, moment):
    assert TimeParser().parse(text) == moment
    assert TimeParser().parse(f" {text} ") == moment


@pytest.mark.parametrize("text", ["29-04-2016 23:59", "01/05/2016", "1.5.2016"])
def test_day_or_month_first_is_never_guessed(text):
    why = "may have the day or the month first; declare date_format"
    with pytest.raises(ValueError, match=why):
        TimeParser().parse(text)


def test_day_first_and_month_first_are_read_as_declared():
    assert TimeParser("day-first").parse("01-05-2016 23:59") == datetime(
        2016, 5, 1, 23, 59, tzinfo=UTC
    )
    assert TimeParser("month-first").parse("01-05-2016") == datetime(2016, 1, 5, tzinfo=UTC)
    with pytest.raises(ValueError, match="month must be in"):
        TimeParser("month-first").parse("29-04-2016")


@pytest.mark.parametrize(
    ("cell", "orders"),
    [
        ("29-04-2016 23:59", ["day-first"]),
        ("29.02.2024", ["day-first"]),
        ("04/29/2016 23:59", ["month-first"]),
        ("03/04/2024", []),
        *((cell, []) for cell in ("45/02/2024", "30/02/2023", "02/30/2023", "31.04.2024")),
        *((cell, []) for cell in ("00/13/2024", "13/00/2024", "13/13/2024", "13/01/0000")),
        ("13/01/2024 25:00", []),
    ],
)
def test_a_date_valid_in_one_order_only_proves_that_order(cell, orders):
    assert find_day_orders(["05/05/2024", cell]) == dict.fromkeys(orders, cell)


def test_a_declared_pattern_is_the_only_valid_format():
    parser = TimeParser("%d.%m.%y")

    assert parser.parse("01.05.16") == datetime(2016, 5, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="does not match date_format"):
        parser.parse("2016-05-01T00:00:00Z")


@pytest.mark.parametrize(
    "text",
    [
        *("", "soon", "20200114", "151523066", "2020-13-01", "2020-02-30", "Mayo 1, 2020"),
        *("1.51523E+09", "2020-01-14T10", "2020-W03-2", "13 Jan 2020 13:00 PM", "١٥١٥٢٣٠٦٦١"),
    ],
)
def test_anything_else_is_not_a_time(text):
    with pytest.raises(ValueError, match=r".+"):
        TimeParser().parse(text)


def test_a_declared_zone_applies_to_times_without_a_zone():
    parser = TimeParser.from_declaration({"timezone": "Europe/Berlin"})

    assert parser.parse("2021-06-24 03:32:13") == datetime(2021, 6, 24, 1, 32, 13, tzinfo=UTC)
    assert parser.parse("2021-06-24 03:32:13Z") == datetime(2021, 6, 24, 3, 32, 13, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2021-10-31 02:30:00", "2021-03-28 02:30:00"])
def test_a_local_time_that_occurs_twice_or_never_is_refused(text):
    with pytest.raises(ValueError, match="occurs twice or never in Europe/Berlin"):
        TimeParser.from_declaration({"timezone": "Europe/Berlin"}).parse(text)


def test_a_declared_time_of_day_applies_to_dates_only():
    parser = TimeParser("day-first", time_of_day=time(23, 59, 59))

    assert parser.parse("24-06-2021") == datetime(2021, 6, 24, 23, 59, 59, tzinfo=UTC)
    assert parser.parse("24-06-2021 10:00") == datetime(2021, 6, 24, 10, tzinfo=UTC)
    assert parser.parse("Jun 24, 2021") == datetime(2021, 6, 24, 23, 59, 59, tzinfo=UTC)


def test_a_time_before_the_first_market_is_refused():
    with pytest.raises(ValidationError, match="before anything had a market price"):
        TimeCell(TimeParser()).deserialize("1970-01-01")
