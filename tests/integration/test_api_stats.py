"""`/stats`: lag, rates, usual durations and phases, by source and in total."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, insert

from shared.schema.raw import RAW
from tests.fakes.api import NOON, add_checkpoint, add_run
from tests.fakes.databases import make_room


def stats(client):
    told = client.get("/stats").json["data"]
    return {**{each["source"]: each for each in told["sources"]}, "all": told["totals"]}


def after(seconds):
    return {"finished_at": NOON + timedelta(seconds=seconds)}


def test_the_lag_is_since_the_newest_observation_and_the_last_success(client, engine):
    ages = {"coingecko": timedelta(hours=1), "csv": timedelta(days=400)}
    make_room(engine.url, *(datetime.now(UTC) - age for age in ages.values()))
    with engine.begin() as conn:
        for source, age in ages.items():
            conn.execute(
                insert(RAW[source]).values(
                    observed_at=func.now() - age,
                    external_id="a",
                    payload_hash=b"0",
                    payload={},
                    run_id=1,
                )
            )
            run = add_run(conn, source)
            add_checkpoint(conn, run, source, last_success_at=func.now() - 2 * age)

    told = stats(client)

    # Not a measurement: these instants were set so far back.
    lags = {name: told[name]["lag_seconds"] for name in told}
    assert lags["coingecko"]["newest_observation"] == pytest.approx(3600, abs=600)
    assert lags["coingecko"]["last_success"] == pytest.approx(7200, abs=600)
    assert lags["csv"]["newest_observation"] == pytest.approx(400 * 86400, abs=600)
    assert lags["coinpaprika"] == {"newest_observation": None, "last_success": None}
    assert lags["all"]["newest_observation"] == pytest.approx(3600, abs=600)


def test_rates_and_the_median_are_of_the_recent_runs(client, engine):
    with engine.begin() as conn:
        add_run(conn, **after(10), records_fetched=100, records_new=100)
        add_run(conn, **after(20), records_fetched=200, records_new=200)
        add_run(conn, **after(90), outcome="failed", reason="timeout")
        add_run(conn, **after(40), outcome="partial", reason="stopped")
        add_run(conn, outcome="running")
        add_run(conn, "csv", **after(40), records_fetched=100, records_new=100)

    told = stats(client)

    assert told["coingecko"]["duration_seconds"]["median"] == 30
    assert told["coingecko"]["duration_seconds"]["average"] == 40
    assert told["coingecko"]["records_per_second"] == 1.875
    assert told["coingecko"]["success_rate"] == 0.6667
    assert told["all"]["records_per_second"] == 2
    assert told["all"]["success_rate"] == 0.75
    assert told["all"]["recent_runs"] == {"succeeded": 3, "partial": 1, "failed": 1}


def test_the_phases_are_those_of_the_last_finished_run(client, engine):
    taken = {"wait": 59, "fetch": 1.204, "check": 0.31, "load": 2.011, "commit": 0.12}
    with engine.begin() as conn:
        add_run(conn, phase_seconds={"wait": 1})
        add_run(conn, phase_seconds=taken)
        add_run(conn, outcome="running", phase_seconds={"wait": 2})
        add_run(conn, "csv")

    told = stats(client)

    assert told["coingecko"]["last_run_phase_seconds"] == taken
    assert told["csv"]["last_run_phase_seconds"] == dict.fromkeys(taken)
    assert told["coinpaprika"]["last_run_phase_seconds"] is None
