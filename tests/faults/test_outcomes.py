"""A source that fails quietly: each run says so, and so does `/health`, until it is well again."""

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import URL

from shared.settings import SOURCES, Settings
from tests.fakes.api import api_on
from tests.fakes.market import Market
from tests.fakes.processes import environ, run_worker
from tests.fakes.upstream import Upstream, body, empty_list, status
from worker.pipeline import Result
from worker.runs import clear_checkpoint
from worker.service import Worker

SIZE = 200
"""Coins: one page of either provider."""

AGE = text(
    "UPDATE runs SET started_at = started_at - make_interval(mins => :minutes),"
    " finished_at = finished_at - make_interval(mins => :minutes)"
)


@dataclass
class Scene:
    """One source, its worker, and the API on the same database."""

    name: str
    upstream: Upstream
    worker: Worker
    reader_url: URL

    def run(self) -> Result:
        return self.worker.run(self.name)

    def ran(self) -> tuple[str, str | None]:
        ending = self.run().ending
        return ending.outcome, ending.reason

    def moves(self) -> None:
        """Let every coin's figures move."""
        self.upstream.market.tick(seconds=1)

    def sells(self, count: int) -> None:
        """Let the market have so many coins."""
        self.upstream.market.coins = Market(count, at=self.upstream.market.at).coins
        self.moves()

    def breaks(self, count: int) -> None:
        """Let the next answer hold so many records without an id."""
        self.moves()
        market = self.upstream.market
        render = market.ticker if self.name == "coinpaprika" else market.market
        records = [json.loads(render(coin)) for coin in market.coins]
        for record in records[:count]:
            record["id"] = ""
        self.upstream.answers(body(json.dumps(records).encode()))

    def wait(self, minutes: int) -> None:
        """Let time pass: what is stored becomes so much older."""
        with self.worker.engine.begin() as conn:
            conn.execute(AGE, {"minutes": minutes})

    def health(self) -> dict[str, Any]:
        """Ask the API for this source's state."""
        with api_on(self.reader_url, SOURCES=self.name) as client:
            response = client.get("/health")
        assert response.status_code == 200
        [source] = response.json["data"]["sources"]
        assert response.json["data"]["status"] == source["status"]
        return source

    def told(self) -> tuple[str, str | None]:
        health = self.health()
        return health["status"], health["reason"]

    def started_at(self, run_id: int) -> datetime:
        with self.worker.engine.connect() as conn:
            query = text("SELECT started_at FROM runs WHERE id = :id")
            return conn.execute(query, {"id": run_id}).scalar_one()


@pytest.fixture(params=["coinpaprika", "coingecko"])
def scene(request, database_url: URL, reader_url: URL) -> Iterator[Scene]:
    with Upstream(assets=0) as upstream:
        upstream.market = Market(SIZE, at=datetime.now(UTC))
        settings = Settings.from_env(environ(database_url, upstream))
        worker = Worker(settings, database_url)
        yield Scene(request.param, upstream, worker, reader_url)
        worker.engine.dispose()


def test_a_market_that_halves_is_partial_until_it_is_whole_again(scene: Scene):
    assert scene.ran() == ("succeeded", None)
    assert scene.told() == ("pass", None)

    scene.sells(SIZE // 2)
    first = scene.run()
    assert (first.ending.outcome, first.ending.reason) == ("partial", "fewer_records")
    assert "100 records where about 200 were expected" in str(first.ending.error)
    scene.moves()
    again = scene.run()
    assert again.ending.reason == "fewer_records"
    assert "about 200 were expected" in str(again.ending.error), "half a market is no standard"

    health = scene.health()
    assert (health["status"], health["reason"]) == ("warn", "fewer_records")
    assert datetime.fromisoformat(health["since"]) == scene.started_at(first.run_id)

    scene.sells(SIZE)
    assert scene.ran() == ("succeeded", None)
    assert scene.told() == ("pass", None)


def test_a_market_that_shrinks_for_good_is_accepted_by_a_person(scene: Scene, engine: Engine):
    assert scene.ran() == ("succeeded", None)
    scene.sells(SIZE // 2)
    assert scene.ran() == ("partial", "fewer_records")

    clear_checkpoint(engine, scene.name)

    assert scene.ran() == ("succeeded", None)
    scene.moves()
    assert scene.ran() == ("succeeded", None)


def test_a_market_that_shrinks_slowly_raises_no_alarm(scene: Scene):
    for count in range(SIZE, SIZE - 33, -4):
        scene.sells(count)
        assert scene.ran() == ("succeeded", None)


def test_an_empty_answer_fails_the_run_and_in_time_the_source(scene: Scene):
    assert scene.ran() == ("succeeded", None)

    scene.moves()
    scene.upstream.always(empty_list())
    first = scene.run()
    assert (first.ending.outcome, first.ending.reason) == ("failed", "empty_answer")
    assert "no record where about 200 were expected" in str(first.ending.error)
    assert scene.told() == ("warn", "empty_answer")

    scene.wait(minutes=30)
    assert scene.ran() == ("failed", "empty_answer")
    health = scene.health()
    assert (health["status"], health["reason"]) == ("fail", "empty_answer")
    assert "no run has succeeded since" in health["detail"]
    assert datetime.fromisoformat(health["since"]) == scene.started_at(first.run_id)

    scene.upstream.always(None)
    assert scene.ran() == ("succeeded", None)
    assert scene.told() == ("pass", None)


@pytest.mark.parametrize("etags", [True, False])
def test_a_frozen_source_is_partial_after_the_declared_time(scene: Scene, etags: bool):
    scene.upstream.etags = etags
    assert scene.ran() == ("succeeded", None)
    scene.wait(minutes=29)
    assert scene.ran() == ("succeeded", None), "for half an hour a source may have nothing new"

    scene.wait(minutes=2)
    first = scene.run()
    assert (first.ending.outcome, first.ending.reason) == ("partial", "frozen")
    assert "0 of 200 records are new" in str(first.ending.error)
    assert "for 31 min where some are expected every 30 min" in str(first.ending.error)
    assert scene.told() == ("warn", "frozen")

    scene.wait(minutes=70)
    assert scene.ran() == ("partial", "frozen")
    health = scene.health()
    assert (health["status"], health["reason"]) == (
        "fail" if scene.name == "coingecko" else "warn",
        "frozen",
    )
    assert datetime.fromisoformat(health["since"]) == scene.started_at(first.run_id)

    scene.moves()
    assert scene.ran() == ("succeeded", None)
    assert scene.told() == ("pass", None)


def test_a_cache_in_which_one_coin_still_moves_is_frozen_all_the_same(scene: Scene):
    market = scene.upstream.market
    assert scene.ran() == ("succeeded", None)
    endings = []
    for _ in range(8):
        scene.wait(minutes=5)
        market.tick(seconds=1, share=0)
        market.coins[0].version += 1
        market.coins[0].at = market.at
        result = scene.run()
        assert result.counts.new == 1
        endings.append(result.ending.reason)

    assert endings == [None] * 5 + ["frozen"] * 3

    market.tick(seconds=1, share=0.2)
    assert scene.ran() == ("succeeded", None)


def test_a_source_that_was_away_comes_back_without_an_alarm(scene: Scene):
    assert scene.ran() == ("succeeded", None)
    scene.wait(minutes=600)
    assert scene.told() == ("fail", "late")
    scene.upstream.answers(status(402))
    assert scene.ran() == ("failed", "payment_required")

    scene.moves()
    assert scene.ran() == ("succeeded", None)
    assert scene.told() == ("pass", None)


def test_reading_everything_again_is_no_freeze(scene: Scene, engine: Engine):
    assert scene.ran() == ("succeeded", None)
    scene.wait(minutes=60)
    assert scene.ran() == ("partial", "frozen")

    clear_checkpoint(engine, scene.name)

    assert scene.ran() == ("succeeded", None), "half an hour from the clearing on"
    with engine.begin() as conn:
        conn.execute(text("UPDATE checkpoints SET cleared_at = cleared_at - interval '31 min'"))
    assert scene.ran() == ("partial", "frozen")


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
        assert "10 of 200 records were rejected (5.0%) where 1.0%" in str(result.ending.error)
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

    assert "20 of 300 records were rejected (6.7%) where 1.3%" in error


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


def test_data_of_last_week_with_status_200_is_outdated(scene: Scene):
    scene.upstream.market = Market(SIZE)

    assert scene.ran() == ("succeeded", None)
    assert scene.told() == ("fail", "outdated")

    scene.upstream.market = Market(SIZE, at=datetime.now(UTC))
    assert scene.ran() == ("succeeded", None)
    assert scene.told() == ("pass", None)


def test_status_shows_what_is_expected_of_each_source(database_url: URL, tmp_path):
    env = environ(database_url)

    told = json.loads(run_worker("status --json", env, tmp_path).stdout)["expected"]
    shown = run_worker("status", env, tmp_path).stdout

    by_source = {each["source"]: each for each in told}
    assert set(by_source) == set(SOURCES)
    assert by_source["coingecko_coins"]["read_every_seconds"] == 24 * 3600
    assert by_source["coingecko"]["fresh_for_seconds"] == 900
    assert by_source["coingecko"]["max_unchanged_seconds"] == 1800
    assert by_source["coinpaprika"]["min_snapshot_share"] == "0.90"
    assert by_source["csv"]["max_reject_rise"] is None
    table = [line.split() for line in shown.splitlines()]
    assert ["coingecko", "900", "0.90", "0.10", "0.02", "1800", "0.01", "-"] in table


def test_the_rejects_of_a_killed_run_are_weighed_by_the_next(
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
    assert "too_many_rejects: csv: nothing new" in again.stdout
    with engine.begin() as conn:
        conn.execute(text("UPDATE rejects SET resolved_at = now()"))
    assert run_worker("run --once --source csv", env, tmp_path).returncode == 0
