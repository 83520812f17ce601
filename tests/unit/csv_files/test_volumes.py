"""A volume counts as that of 24 hours in dollars only if that is proven or declared."""

import pytest

from tests.fakes.csv_files import SavedFile

DAYS = ["2024-05-01", "2024-05-02", "2024-05-03"]
HOURS = ["2024-05-01 00:00", "2024-05-01 01:00", "2024-05-01 02:00"]
MINUTES = ["1714521600", "1714521900", "1714522200"]


def table(volume: str, times: list[str], others: str = "open,high,low") -> str:
    values = ",1" * len(others.split(","))
    rows = [f"{time},BTC,Bitcoin,{at}.5,7{values}" for at, time in enumerate(times)]
    return "\n".join([f"date,symbol,name,price_usd,{volume},{others}", *rows]) + "\n"


@pytest.mark.parametrize("header", ["Volume", "volume"])
def test_a_volume_that_names_no_currency_is_suggested_to_be_ignored(tmp_path, header):
    file = SavedFile(tmp_path, table(header, DAYS, "desk"))

    assert file.asked() == {"ignore": [header]}
    why = f"{header!r} may count coins; if it is the volume of 24 hours in US dollars"
    assert f"{why}, write [columns]" in str(file.refusal())

    file.declare(f'[columns]\nvolume_24h_usd = "{header}"\n')
    assert {str(each.volume_24h_usd) for each in file.observed()} == {"7"}


def test_a_volume_in_dollars_is_suggested_where_the_rows_are_a_day_apart(tmp_path):
    assert SavedFile(tmp_path, table("Volume USD", DAYS, "desk")).asked() == {
        "columns": {"volume_24h_usd": "Volume USD"}
    }


@pytest.mark.parametrize(
    ("times", "gap"),
    [
        (HOURS, "1 hour"),
        (MINUTES, "5 minutes"),
        (["05/03/2024 0:00", "05/03/2024 4:00"], "4 hours"),
        (HOURS[::-1], "1 hour"),
    ],
)
@pytest.mark.parametrize("header", ["Volume USD", "total_volume_usd"])
def test_the_volume_of_a_shorter_time_is_suggested_to_be_ignored(tmp_path, times, gap, header):
    file = SavedFile(tmp_path, table(header, times))

    assert file.asked()["ignore"] == [header]
    assert "columns" not in file.asked()
    assert f"rows are {gap} apart, so {header!r} is probably not" in str(file.refusal())


def test_a_volume_beside_times_that_cannot_be_read_is_suggested_to_be_ignored(tmp_path):
    times = ["2024-05-01 02-PM", "2024-05-01 03-PM"]

    assert SavedFile(tmp_path, table("Volume USD", times)).asked()["ignore"] == ["Volume USD"]


@pytest.mark.parametrize("header", ["volume_24h_usd", "24h_volume_usd"])
def test_a_volume_that_names_its_24_hours_is_read_whatever_the_rows_are(tmp_path, header):
    file = SavedFile(tmp_path, table(header, HOURS), 'close_after = "1h"')

    assert len(file.observed()) == 3


def test_a_total_volume_without_candles_is_read(tmp_path):
    assert len(SavedFile(tmp_path, table("total_volume_usd", HOURS, "desk")).observed()) == 3


def test_rows_of_several_coins_at_one_time_are_not_compared_with_each_other(tmp_path):
    header = "date,symbol,name,price_usd,Volume USD"
    rows = ["2024-05-01 00:00,BTC,Bitcoin,1,7", "2024-05-01 00:05,ETH,Ether,1,7"]
    file = SavedFile(tmp_path, "\n".join([header, *rows]))

    assert file.asked() == {"columns": {"volume_24h_usd": "Volume USD"}}
