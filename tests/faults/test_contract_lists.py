"""The lists of contracts, whatever becomes of their source and their worker."""

import json

import pytest
from sqlalchemy import func, select, text

from shared.model.faults import CRASH_POINTS
from shared.schema.raw import RAW_LISTS
from tests.fakes import answers, processes
from tests.fakes.cases import sparse
from tests.fakes.contract_lists import LISTED_BY, USDT, expected, held
from tests.fakes.forked_worker import WarmWorker
from tests.fakes.runner import Runner, adapter
from tests.fakes.upstream import Upstream
from worker.maintenance.reprocess import reprocess
from worker.maintenance.verify import verify

LISTS = tuple(RAW_LISTS)


@pytest.fixture
def market():
    with Upstream(assets=40) as served:
        yield served


@pytest.mark.parametrize("name", LISTS)
def test_a_list_says_which_contracts_the_coins_have(engine, market, name):
    runner = Runner(engine, market, name, batch_size=7)

    assert runner.run().ending.outcome == "succeeded"

    assert held(engine, LISTED_BY[name]) == expected(market.market, LISTED_BY[name])
    assert runner.sound().counted["contracts"] > 20


@pytest.mark.parametrize("name", LISTS)
def test_a_list_that_says_the_same_is_unchanged(engine, market, name):
    market.etags = False
    runner = Runner(engine, market, name)
    first = runner.run().counts
    before = runner.sound()

    again = runner.run().counts

    assert (again.new, again.unchanged) == (0, first.new)
    assert runner.sound().counted == before.counted


@pytest.mark.parametrize("name", LISTS)
def test_a_list_that_is_not_modified_is_not_sent_again(engine, market, name):
    runner = Runner(engine, market, name)
    records = runner.run().counts.fetched

    runner.run()

    last = runner.last_run()
    assert (last.outcome, last.records_fetched, last.records_known) == ("succeeded", 0, records)


@pytest.mark.parametrize("name", sparse(LISTS, 2))
@pytest.mark.parametrize(
    ("answer", "outcome", "reason"),
    [
        (answers.html(), "failed", "not_json"),
        (answers.truncated(), "failed", "truncated"),
        (answers.status(503), "failed", "http_503"),
        (answers.status(401), "failed", "unauthorized"),
        (answers.body(b"{}"), "failed", "not_a_list"),
        (answers.rate_limited(seconds=3600), "failed", "rate_limited"),
        (answers.empty_list(), "failed", "empty_answer"),
        (answers.reset(), "failed", "connection_lost"),
    ],
)
def test_an_outage_is_named_and_takes_nothing_away(engine, market, name, answer, outcome, reason):
    runner = Runner(engine, market, name)
    runner.run()
    market.etags = False
    before, checkpoint = held(engine, LISTED_BY[name]), runner.checkpoint()
    market.always(answer)

    ending = runner.run().ending

    assert (ending.outcome, ending.reason) == (outcome, reason), ending.error
    assert held(engine, LISTED_BY[name]) == before
    assert runner.checkpoint().cursor == checkpoint.cursor
    runner.sound()


def test_a_list_that_is_shorter_is_partial_and_takes_nothing_away(engine, market):
    runner = Runner(engine, market, "coingecko_coins")
    runner.run()
    before = held(engine, "coingecko")
    gone = market.market.coins[20:]
    market.market.coins = market.market.coins[:20]

    ending = runner.run().ending

    assert (ending.outcome, ending.reason) == ("partial", "fewer_records")
    assert held(engine, "coingecko") == before
    assert any(coin.slug in {row[0] for row in before} for coin in gone)


def test_a_walk_over_platforms_goes_on_where_it_broke_off(engine, market):
    runner = Runner(engine, market, "coinpaprika_contracts")
    market.answers(answers.real(), answers.real(), *[answers.status(503)] * 3)
    assert runner.run().ending.reason == "http_503"
    assert runner.checkpoint().cursor == {"platform": "matic-polygon"}

    asked = len(market.asked)
    assert runner.run().ending.outcome == "succeeded"

    paths = [each.path for each in list(market.asked)[asked:]]
    assert paths == ["/v1/contracts", "/v1/contracts/matic-polygon", "/v1/contracts/sol-solana"]
    assert held(engine, "coinpaprika") == expected(market.market, "coinpaprika")
    runner.sound()


def test_a_platform_that_has_no_answer_has_no_contracts(engine, market):
    market.empty_platforms = ["abc-abc", "zzz/..?zzz"]
    runner = Runner(engine, market, "coinpaprika_contracts")

    assert runner.run().ending.outcome == "succeeded"

    assert "/v1/contracts/zzz%2F..%3Fzzz" in {each.path for each in market.asked}
    assert held(engine, "coinpaprika") == expected(market.market, "coinpaprika")


def test_contracts_that_change_are_found_in_the_next_list(engine, market):
    runner = Runner(engine, market, "coingecko_coins")
    runner.run()
    market.market.moved = {1: {}, 2: {"tron": "TAbc"}, 3: {"ethereum": USDT, "solana": "So1"}}

    counts = runner.run().counts

    assert counts.new == 3
    assert held(engine, "coingecko") == expected(market.market, "coingecko")
    runner.sound()


@pytest.mark.parametrize("name", LISTS)
def test_reprocess_rebuilds_the_contracts(engine, market, name):
    runner = Runner(engine, market, name)
    runner.run()
    before = runner.sound()
    with engine.begin() as conn:
        conn.execute(text("TRUNCATE contracts, contract_claims"))
    assert verify(engine).findings != ()

    rebuilt = reprocess(engine, adapter(name, market))

    assert rebuilt.unreadable == 0
    assert runner.sound().fingerprint == before.fingerprint


def test_verify_finds_a_contract_that_nobody_claims(engine, market):
    Runner(engine, market, "coingecko_coins").run()
    with engine.begin() as conn:
        conn.execute(text("UPDATE contracts SET address = address || 'x' WHERE chain = 'solana'"))

    (finding,) = verify(engine).findings

    assert finding.check == "contracts_say_what_was_claimed (coingecko_coins)"


def test_verify_finds_a_claim_that_its_raw_record_does_not_make(engine, market):
    Runner(engine, market, "coingecko_coins").run()
    with engine.begin() as conn:
        conn.execute(text("UPDATE contract_claims SET coin = 'other' WHERE contracts = '[]'"))

    (finding,) = verify(engine, [adapter("coingecko_coins", market)]).findings

    assert finding.check == "claims_say_what_raw_says (coingecko_coins)"


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("point", sparse(reversed(CRASH_POINTS), 8))
def test_a_worker_killed_anywhere_loses_nothing(
    engine, database_url, market, tmp_path, name, point
):
    provider = LISTED_BY[name]
    Runner(engine, market, provider).run()
    settings = {"BATCH_SIZE": 7}
    env = processes.environ(database_url, market, **settings)
    killed = processes.environ(database_url, market, FAULT=f"{point}:2", **settings)

    assert WarmWorker(f"run --once --source {name}", killed, tmp_path).wait() == -9
    assert verify(engine).findings == ()
    assert WarmWorker(f"run --once --source {name}", env, tmp_path).wait() == 0

    assert verify(engine).findings == ()
    assert held(engine, provider) == expected(market.market, provider)
    with engine.connect() as conn:
        stored = conn.scalar(select(func.count()).select_from(RAW_LISTS[name]))
        said = conn.scalar(select(func.count(RAW_LISTS[name].c.external_id.distinct())))
    assert stored == said


def test_a_new_platform_is_no_drift_and_a_record_without_platforms_is(engine, market):
    runner = Runner(engine, market, "coingecko_coins")
    runner.run()
    market.market.moved = {n: {f"chain-{n}": f"a{n}"} for n in range(1, 30)}
    assert runner.run().ending.outcome == "succeeded"
    with engine.connect() as conn:
        assert conn.scalar(text("SELECT count(*) FROM drift")) == 0

    market.etags = False
    market.answers(answers.edited(lambda body: body.replace(b'"platforms"', b'"chains"')))

    assert runner.run().ending.outcome == "failed"
    with engine.connect() as conn:
        paths = set(conn.scalars(text("SELECT path FROM drift")))
    assert {"platforms", "chains"} <= paths


def test_lists_and_prices_of_a_provider_share_its_requests(database_url, market, tmp_path):
    env = processes.environ(database_url, market, COINGECKO_REQUESTS_PER_MONTH=3)
    assert processes.run_worker("run --once --source coingecko", env, tmp_path).returncode == 0
    assert (
        processes.run_worker("run --once --source coingecko_coins", env, tmp_path).returncode == 0
    )

    spent = processes.run_worker("run --once --source coingecko_coins", env, tmp_path)

    assert spent.returncode == 1
    assert "raise COINGECKO_REQUESTS_PER_MONTH" in spent.stdout
    status = processes.run_worker("status --json", env, tmp_path)
    used = {each["source"]: each for each in json.loads(status.stdout)["budgets"]}
    assert used["coingecko"]["requests_used"] == 3
    assert used.keys() == {"coingecko", "coinpaprika"}


def test_a_list_is_read_once_a_day_and_whenever_it_is_named(database_url, market, tmp_path, engine):
    env = processes.environ(database_url, market, SOURCES="coingecko,coingecko_coins")
    assert processes.run_worker("run --once", env, tmp_path).returncode == 0
    assert "coingecko_coins" not in processes.run_worker("run --once", env, tmp_path).stdout

    named = processes.run_worker("run --once --source coingecko_coins", env, tmp_path)
    assert "coingecko_coins: run 4 succeeded" in named.stdout
    with engine.begin() as conn:
        conn.execute(text("UPDATE runs SET started_at = started_at - interval '25 hours'"))
    assert (
        "coingecko_coins: run 6 succeeded"
        in processes.run_worker("run --once", env, tmp_path).stdout
    )


def test_a_list_that_failed_is_left_alone_for_an_hour(database_url, market, tmp_path, engine):
    env = processes.environ(database_url, market, SOURCES="coingecko_coins")
    market.answers(answers.status(401))
    assert processes.run_worker("run --once", env, tmp_path).returncode == 1
    assert processes.run_worker("run --once", env, tmp_path).stdout == ""

    with engine.begin() as conn:
        conn.execute(text("UPDATE runs SET started_at = started_at - interval '61 minutes'"))

    assert "succeeded" in processes.run_worker("run --once", env, tmp_path).stdout
