"""The close of a candle is not stored under the time at which the candle opened."""

import pytest

from tests.fakes.csv_files import SavedFile

BITCOIN = '[values]\nsymbol = "BTC"\nname = "Bitcoin"\n'
HOURS = ["2021-01-01 00:00:00", "2021-01-01 01:00:00", "2021-01-01 02:00:00"]
KLINES = (
    "open_time,open,high,low,close_usd,close_time\n"
    "1609459200000,1,3,0.5,1.5,1609462799999\n"
    "1609462800000,1.5,3,1,2.5,1609466399999\n"
)


def table(times: list[str], time: str = "time", candle: str = "open,high,low,close_usd") -> str:
    values = ",1.5" * len(candle.split(","))
    return "\n".join([f"{time},{candle}", *(f'"{each}"{values}' for each in times)]) + "\n"


def moments(file: SavedFile) -> list[str]:
    return [each.observed_at.isoformat(timespec="milliseconds") for each in file.observed()]


@pytest.mark.parametrize(
    ("times", "shown"),
    [
        (HOURS, '"1h" if'),
        (["1609459200", "1609459500"], '"5m" if'),
        (["2021-01-01", "2021-01-02"], '"1d" if'),
        (["Jan 09, 2021", "Jan 02, 2021"], '"7d" if'),
        (["2024-04-01", "2024-05-01", "2024-06-01"], '"31d" if'),
        (HOURS[:1], 'such as "1h" if'),
    ],
)
def test_the_close_of_a_candle_is_asked_for(tmp_path, times, shown):
    file = SavedFile(tmp_path, table(times), BITCOIN)

    assert file.asked()["close_after"] == ""
    why = f"{shown} 'time' is the time at which a candle opens"
    assert why in str(file.refusal())


@pytest.mark.parametrize(
    "candle",
    [
        *("Open,High,Low,price_usd", "Open,close_usd", "High,Low,close_usd"),
        *("priceOpen,priceHigh,priceLow,price_usd", "1. open,2. high,3. low,close_usd"),
        *("o,h,l,price_usd", "Eröffn.,Hoch,Tief,price_usd", "Ouv., Plus Haut,Plus Bas,price_usd"),
    ],
)
def test_candles_are_recognised_by_their_columns(tmp_path, candle):
    assert "close_after" in SavedFile(tmp_path, table(HOURS, candle=candle), BITCOIN).asked()


@pytest.mark.parametrize(
    "columns",
    [
        *("close_usd", "price_usd,open_interest,high_score", "open_24h,high_24h,low_24h,price_usd"),
        *("open_time,high_time,low_time,price_usd", "price_usd,Open (24 h),High (24 h),Low (24 h)"),
        "price_usd,Chg (h),Cap (c),low_risk",
    ],
)
def test_other_columns_are_no_candles(tmp_path, columns):
    assert len(SavedFile(tmp_path, table(HOURS, candle=columns), BITCOIN).observed()) == 3


def test_a_close_counts_from_the_last_millisecond_of_its_candle(tmp_path):
    file = SavedFile(tmp_path, table(HOURS[:2]), f'close_after = "1h"\n{BITCOIN}')
    assert moments(file) == ["2021-01-01T00:59:59.999+00:00", "2021-01-01T01:59:59.999+00:00"]

    file.declare(f'close_after = "0"\n{BITCOIN}')
    assert moments(file) == ["2021-01-01T00:00:00.000+00:00", "2021-01-01T01:00:00.000+00:00"]


@pytest.mark.parametrize("value", ["", "1", "hour", "0h", "1.5h", "99999d"])
def test_a_length_that_cannot_be_read_is_refused(tmp_path, value):
    file = SavedFile(tmp_path, table(HOURS), f'close_after = "{value}"\n{BITCOIN}')

    assert f"close_after: {value!r} is not " in str(file.refusal())


@pytest.mark.parametrize(
    "times",
    [
        ["2021-01-01 23:59", "2021-01-02 23:59"],
        ["2021-01-01T00:59:59.999Z", "2021-01-01T01:59:59.999Z"],
    ],
)
def test_times_at_the_end_of_a_candle_are_not_asked_about(tmp_path, times):
    assert len(SavedFile(tmp_path, table(times), BITCOIN).observed()) == 2


@pytest.mark.parametrize(
    "times",
    [
        ["2021-01-01 23:59"],
        ["2021-01-01 00:00:59"],
        ["2021-01-01 23:59", "2021-01-01 23:59"],
    ],
)
def test_too_few_times_prove_no_end(tmp_path, times):
    assert "close_after" in SavedFile(tmp_path, table(times), BITCOIN).asked()


@pytest.mark.parametrize("time_of_day", ["00:00:00", "08:00"])
def test_a_time_within_the_day_is_no_end_of_it(tmp_path, time_of_day):
    declared = f'time_of_day = "{time_of_day}"\n{BITCOIN}'

    asked = SavedFile(tmp_path, table(["2021-01-01", "2021-01-02"]), declared).asked()

    assert asked["close_after"] == ""


def test_a_date_of_the_close_may_or_may_not_belong_to_the_candle(tmp_path):
    file = SavedFile(tmp_path, table(["2021-01-03", "2021-01-10"], time="week_end"), BITCOIN)
    asked = file.asked()
    assert (asked["columns"], asked["time_of_day"]) == ({"observed_at": "week_end"}, "")
    assert "close_after" not in asked

    for time_of_day, first in (("23:59:59", "2021-01-03T23:59:59"), ("00:00", "2021-01-03T00:00")):
        file.declare(
            f'time_of_day = "{time_of_day}"\n[columns]\nobserved_at = "week_end"\n{BITCOIN}'
        )
        assert moments(file)[0].startswith(first)


def test_the_end_of_a_day_and_a_length_are_not_added(tmp_path):
    declared = f'time_of_day = "23:59:59"\nclose_after = "1d"\n{BITCOIN}'

    refusal = str(SavedFile(tmp_path, table(["2021-01-01"]), declared).refusal())

    assert "close_after: would count from 23:59:59, which is the end of a day already" in refusal


def test_candles_of_days_close_by_the_clock_of_their_zone(tmp_path):
    declared = f'close_after = "1d"\ntimezone = "Europe/Berlin"\n{BITCOIN}'

    file = SavedFile(tmp_path, table(["2024-10-26", "2024-10-27", "2024-03-31"]), declared)

    assert moments(file) == [
        "2024-10-26T21:59:59.999+00:00",
        "2024-10-27T22:59:59.999+00:00",
        "2024-03-31T21:59:59.999+00:00",
    ]


def test_a_file_without_rows_is_not_asked_when_its_candles_close(tmp_path):
    assert SavedFile(tmp_path, table([]), BITCOIN).refusal().code == "empty_answer"


def test_a_declared_time_of_day_answers_for_dates_alone(tmp_path):
    declared = f'time_of_day = "23:59:59"\n{BITCOIN}'

    file = SavedFile(tmp_path, table(["2021-01-01", "2021-01-02"]), declared)
    assert moments(file)[0] == "2021-01-01T23:59:59.000+00:00"
    assert "close_after" in SavedFile(tmp_path, table(HOURS), declared).asked()


def test_the_open_may_be_read_as_the_price_at_its_time(tmp_path):
    content = table(HOURS, candle="Open,High,Low,Close")
    file = SavedFile(
        tmp_path, content, f'currency = "USD"\n[columns]\nprice_usd = "Open"\n{BITCOIN}'
    )

    assert moments(file)[0] == "2021-01-01T00:00:00.000+00:00"


@pytest.mark.parametrize("declared", ["", '[columns]\nobserved_at = "open_time"\n'])
def test_the_time_of_the_close_is_suggested_beside_that_of_the_open(tmp_path, declared):
    file = SavedFile(tmp_path, KLINES, declared + BITCOIN)

    assert file.asked()["columns"] == {"observed_at": "close_time"}
    assert "close_after" not in file.asked()

    file.declare(f'[columns]\nobserved_at = "close_time"\n{BITCOIN}')
    assert moments(file)[0] == "2021-01-01T00:59:59.999+00:00"


def test_the_time_of_the_close_is_suggested_instead_of_a_known_header(tmp_path):
    file = SavedFile(tmp_path, KLINES.replace("open_time", "timestamp"), BITCOIN)

    assert file.asked()["columns"] == {"observed_at": "close_time"}
    assert "'timestamp' has '1609459200000'" in str(file.refusal())


def test_a_known_header_with_the_times_of_the_close_is_read(tmp_path):
    rows = [f'"{time}",1,2,1,1.5,"{time}"' for time in HOURS]
    content = "\n".join(["timestamp,open,high,low,close_usd,timeClose", *rows])

    assert len(SavedFile(tmp_path, content, BITCOIN).observed()) == 3


def test_an_ignored_time_of_the_close_leaves_the_question_of_its_length(tmp_path):
    content = KLINES.replace("open_time", "timestamp")
    file = SavedFile(tmp_path, content, f'ignore = ["close_time"]\n{BITCOIN}')

    assert file.asked()["close_after"] == ""
