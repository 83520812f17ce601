"""A source whose records are refused more than usual: each run says so, and so does `/health`."""

import json
import signal

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import URL

from tests.fakes.answers import body, status
from tests.fakes.processes import environ, run_worker
from tests.fakes.source_and_api import Scene
from worker.ingest.runs.journal import clear_checkpoint
from worker.ingest.runs.options import Result


def test_a_rise_of_rejects_is_partial_until_it_falls_or_is_accepted(scene: Scene, engine: Engine):
    for _ in range(3):
        scene.breaks(2)
        assert scene.ran() == ("succeeded", None)
    scene.breaks(6)
    assert scene.ran() == ("succeeded", None), "a rise of 2 % is within what is declared"

    for _ in range(4):
        scene.breaks(10)
        result = scene.run()
        assert (result.ending.outcome, result.ending.reason) == ("partial", "more_rejects")
        assert "10 of 200 records were rejected (5.0%), but 1.0%" in str(result.ending.error)
        assert result.counts.rejected == 10
    assert scene.told() == ("warn", "more_rejects")

    scene.breaks(2)
    assert scene.ran() == ("succeeded", None)
    assert scene.told() == ("pass", None)

    scene.breaks(10)
    assert scene.ran() == ("partial", "more_rejects")
    clear_checkpoint(engine, scene.name)
    for _ in range(4):
        scene.breaks(10)
        assert scene.ran() == ("succeeded", None)
    scene.breaks(15)
    assert scene.ran() == ("partial", "more_rejects")


@pytest.mark.parametrize("scene", ["coingecko"], indirect=True)
def test_pages_that_did_not_change_count_in_the_usual_share_of_rejects(scene: Scene):
    scene.sells(300)
    market = scene.upstream.market
    last = [json.loads(market.market(coin)) for coin in market.markets("id_asc")[250:]]

    def run(rejected: int) -> Result:
        for number, record in enumerate(last):
            record["name"] = "" if number < rejected else "Coin"
        scene.upstream.answers(body(json.dumps(last).encode()), page=2)
        return scene.run()

    for _ in range(4):
        result = run(rejected=4)
        assert result.ending.outcome == "succeeded"
    assert result.counts.fetched == 50, "page 1 was not modified"

    error = str(run(rejected=20).ending.error)

    assert "20 of 300 records were rejected (6.7%), but 1.3%" in error


@pytest.mark.parametrize("scene", ["coingecko"], indirect=True)
def test_runs_that_read_the_rest_of_a_snapshot_set_no_standard_for_its_rejects(scene: Scene):
    scene.sells(600)
    market = scene.upstream.market

    def first_page_has_rejects() -> None:
        scene.moves()
        records = [json.loads(market.market(coin)) for coin in market.markets("id_asc")[:250]]
        for record in records[:24]:
            record["id"] = ""
        scene.upstream.answers(body(json.dumps(records).encode()), page=1)

    for _ in range(4):
        first_page_has_rejects()
        scene.upstream.answers(status(404), page=3)
        assert scene.ran() == ("failed", "not_found")
        rest = scene.run()
        assert (rest.counts.fetched, rest.counts.rejected) == (100, 0)
        assert rest.ending.outcome == "succeeded"
    first_page_has_rejects()

    whole = scene.run()

    assert (whole.counts.fetched, whole.counts.rejected) == (600, 24)
    assert whole.ending.outcome == "succeeded"


def test_the_rejects_of_a_killed_run_are_judged_by_the_next(
    engine: Engine, database_url: URL, tmp_path
):
    rows = [f"c{n},C{n},Coin {n},{'x' if n % 2 else n},2026-01-02T12:00:00Z" for n in range(40)]
    file = tmp_path / "prices.csv"
    file.write_text("\n".join(["id,symbol,name,price_usd,last_updated", *rows, ""]))
    env = environ(database_url, CSV_PATH=file, ENVIRONMENT="test")

    killed = run_worker("run --once --source csv", {**env, "FAULT": "after_commit"}, tmp_path)
    weighed = run_worker("run --once --source csv", env, tmp_path)
    again = run_worker("run --once --source csv", env, tmp_path)

    assert killed.returncode == -signal.SIGKILL
    assert "too_many_rejects: csv: 20 of 40 records" in weighed.stdout
    assert "too_many_rejects: csv: no new rows" in again.stdout
    with engine.begin() as conn:
        conn.execute(text("UPDATE rejects SET resolved_at = now()"))
    assert run_worker("run --once --source csv", env, tmp_path).returncode == 0
