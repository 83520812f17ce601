"""A source that fails quietly: each run says so, and so does `/health`, until it is well again."""

import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import URL

from shared.model.catalogue import SOURCES
from tests.fakes.answers import empty_list, status
from tests.fakes.market import Market
from tests.fakes.processes import environ, run_worker
from tests.fakes.source_and_api import SIZE, Scene
from worker.ingest.runs.journal import clear_checkpoint


def test_a_market_that_halves_is_partial_until_it_is_whole_again(scene: Scene):
    assert scene.ran() == ("succeeded", None)
    assert scene.told() == ("pass", None)

    scene.sells(SIZE // 2)
    first = scene.run()
    assert (first.ending.outcome, first.ending.reason) == ("partial", "fewer_records")
    assert "100 records, but about 200 were expected" in str(first.ending.error)
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


@pytest.mark.slow
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
    assert "no records; about 200 were expected" in str(first.ending.error)
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
    assert "for 31 min; some are expected every 30 min" in str(first.ending.error)
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
