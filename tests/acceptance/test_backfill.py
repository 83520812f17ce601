"""Historical files become history: of their own days, and of no other."""

from pathlib import Path

import pytest

from tests.fakes.api import api_on
from tests.fakes.batches import COINGECKO, LATER, load, market
from tests.fakes.databases import engine_on
from tests.fakes.processes import environ, run_worker
from worker.maintenance.verify import verify

DAILY = (
    "SNo,Name,Symbol,Date,High,Low,Open,Close,Volume,Marketcap\r\n"
    "1,Bitcoin,BTC,01-05-2016 23:59,470.5,449,455,451.5,0,7.0E+9\r\n"
    "2,Bitcoin,BTC,02-05-2016 23:59,452,440,451,444.666999817,92127000,6.8E+9\r\n"
    "3,Bitcoin,BTC,05-05-2016 23:59,452,446,446,447.99,72796800,6.9E+9\r\n"
)
DAILY_TOML = """
currency = "USD"
date_format = "day-first"
namespace = "daily"
zero_is_unknown = ["volume_24h_usd"]
[columns]
volume_24h_usd = "Volume"
"""
CLOSES = (
    '"Date","Price","Open","High","Low","Vol.","Change %"\n'
    '"May 03, 2016","1,450.5","449","452","440","1.38M","-0.00%"\n'
    '"May 02, 2016","444.75","451","452","440","610.66K","-1.50%"\n'
)
CLOSES_TOML = """
currency = "USD"
date_format = "month-first"
namespace = "closes"
time_of_day = "23:59:00"
ignore = ["Vol.", "Change %"]
[values]
symbol = "BTC"
name = "Bitcoin"
"""
MAY = {"start": "2016-05-01T00:00:00Z", "end": "2016-05-06T00:00:00Z"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text, declared in (
        ("daily.csv", DAILY, DAILY_TOML),
        ("closes.csv", CLOSES, CLOSES_TOML),
    ):
        (tmp_path / name).write_text(text, newline="")
        (tmp_path / f"{name}.toml").write_text(declared)
    return tmp_path


def test_an_imported_day_is_history_and_changes_no_newer_value(database_url, reader_url, folder):
    with engine_on(database_url) as engine, api_on(reader_url, API_CACHE_MB="0") as client:

        def ask(path="/data/bitcoin", **query):
            answer = client.get(path, query_string={"decimals": "string", **query})
            assert answer.status_code == 200, answer.text
            return answer.json["data"]

        def values(row):
            of_identity = {"source_count", "version", "updated_at"}
            return {name: row[name] for name in row if name not in of_identity}

        load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", "90000.10", LATER))
        [today] = ask("/data")
        known = today["updated_at"]

        for name in ("daily.csv", "closes.csv"):
            ran = run_worker(f"import csv {name}", environ(database_url), folder)
            assert ran.returncode == 0, ran.stderr

        [now] = ask("/data")
        assert values(now) == values(today)
        assert ask()["provenance"]["price_usd"]["source"] == "coingecko"

        days = ask("/data/bitcoin/history", interval="1d", **MAY)
        assert [
            (day["open_usd"], day["close_usd"], day["sample_count"], day["volume_24h_usd"])
            for day in days
        ] == [
            ("451.5", "451.5", 1, None),
            ("444.75", "444.666999817", 2, "92127000"),
            ("1450.5", "1450.5", 1, None),
            (None, None, 0, None),
            ("447.99", "447.99", 1, "72796800"),
        ]
        of_one = ask("/data/bitcoin/history", source="csv", external_id="daily:btc-bitcoin", **MAY)
        assert [each["price_usd"] for each in of_one] == ["451.5", "444.666999817", "447.99"]

        [then] = ask("/data", as_of="2016-05-01T23:59:00Z")
        assert (then["slug"], then["price_usd"]) == ("bitcoin", "451.5")
        assert then["market_cap_usd"] == "7000000000"
        assert ask("/data", as_of="2016-05-01T23:58:59Z") == []
        assert {each["external_id"] for each in ask(as_of="2016-05-04T00:00:00Z")["listings"]} == {
            "daily:btc-bitcoin",
            "closes:btc-bitcoin",
        }

        assert ask("/data", as_of="2016-05-04T00:00:00Z", known_at=known) == []
        assert [values(row) for row in ask("/data", known_at=known)] == [values(today)]
        unknown = ask("/data/bitcoin/history", interval="1d", known_at=known, **MAY)
        assert {day["sample_count"] for day in unknown} == {0}

        # Once more: nothing is new, and nothing is another.
        again = run_worker("import csv daily.csv", environ(database_url), folder)
        assert again.returncode == 0, again.stderr
        assert ask("/data/bitcoin/history", interval="1d", **MAY) == days
        sources = client.get("/stats").json["data"]["sources"]
        [csv] = [each for each in sources if each["source"] == "csv"]
        assert csv["last_run"]["outcome"] == "succeeded"
        assert csv["last_success_at"] is None, "an import is no run of the source"
        assert verify(engine).findings == ()


def test_the_close_of_a_candle_is_not_shown_before_the_candle_ends(
    database_url, reader_url, tmp_path
):
    (tmp_path / "hours.csv").write_text(
        "Unix,Symbol,Name,Open,High,Low,Close\n"
        "1609459200,BTC/USD,Bitcoin,1,3,0.5,1.5\n"
        "1609462800,BTC/USD,Bitcoin,1.5,4,1,2.5\n"
    )
    refused = run_worker("import csv hours.csv", environ(database_url), tmp_path)
    assert "requires a declaration of: close_after" in refused.stdout

    (tmp_path / "hours.csv.toml").write_text('close_after = "1h"\n')
    ran = run_worker("import csv hours.csv", environ(database_url), tmp_path)
    assert ran.returncode == 0, ran.stderr

    with api_on(reader_url, API_CACHE_MB="0") as client:

        def prices(moment):
            query = {"as_of": f"2021-01-01T{moment}Z", "decimals": "string"}
            return [
                each["price_usd"] for each in client.get("/data", query_string=query).json["data"]
            ]

        assert [prices(each) for each in ("00:59:59", "01:00:00", "01:59:59", "02:00:00")] == [
            *([], ["1.5"], ["1.5"], ["2.5"])
        ]
        window = {"start": "2021-01-01T00:00:00Z", "end": "2021-01-01T02:00:00Z", "interval": "1h"}
        path = "/data/bitcoin/history"
        candles = client.get(path, query_string={**window, "decimals": "string"}).json["data"]
        assert [(each["open_usd"], each["close_usd"]) for each in candles] == [
            *(("1.5", "1.5"), ("2.5", "2.5"))
        ]
