"""The lists of contracts, whatever becomes of their source, their order and their worker."""

import itertools
import json
import os
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select, text

from shared.settings import CRASH_POINTS
from shared.tables import RAW_LISTS, assets, contracts, identity_events, rejects
from tests.fakes import batches, processes, upstream
from tests.fakes.market import coin_id
from tests.fakes.runner import Runner, adapter
from tests.fakes.upstream import Upstream
from tests.fakes.warm import WarmWorker
from worker import pipeline
from worker.pipeline import Options
from worker.reprocess import reprocess
from worker.retry import Wanted, retry
from worker.verify import verify

LISTS = tuple(RAW_LISTS)
USDT = "0xdAC17F958D2ee523a2206206994597C13D831ec7"
LISTED_BY = {"coingecko_coins": "coingecko", "coinpaprika_contracts": "coinpaprika"}


@pytest.fixture
def market():
    with Upstream(assets=40) as served:
        yield served


def held(engine, source):
    with engine.connect() as conn:
        rows = conn.execute(
            select(contracts.c.external_id, contracts.c.chain, contracts.c.address).where(
                contracts.c.source == source
            )
        )
        return {tuple(row) for row in rows}


def expected(market, source):
    """What the market's coins have, in the form in which it is compared."""
    own = coin_id if source == "coinpaprika" else lambda coin: coin.slug
    return {
        (own(coin), chain, address.lower() if address.startswith("0x") else address)
        for coin in market.coins
        for chain, address in market.contracts(coin).items()
    }


def load(engine, tmp_path, source, records, at, name="eth-ethereum"):
    """Import a saved response that was written `at` a day of 2026."""
    file = tmp_path / f"{name}.json"
    file.write_text(json.dumps(records))
    moment = datetime(2026, 1, at, tzinfo=UTC).timestamp()
    os.utime(file, (moment, moment))
    served = adapter(source, OFFLINE)
    return pipeline.load_saved(engine, served, lambda: served.saved_pages(file), Options(1))


class Offline:
    coingecko_url = coinpaprika_url = "http://127.0.0.1:9"


OFFLINE = Offline()


def coin(external_id, **platforms):
    return {"id": external_id, "symbol": "t", "name": "T", "platforms": platforms}


def contract(external_id, address=USDT, **more):
    return {"id": external_id, "address": address, "type": "ERC20", **more}


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


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    ("answer", "outcome", "reason"),
    [
        (upstream.html(), "failed", "not_json"),
        (upstream.truncated(), "failed", "truncated"),
        (upstream.status(503), "failed", "http_503"),
        (upstream.status(401), "failed", "unauthorized"),
        (upstream.body(b"{}"), "failed", "not_a_list"),
        (upstream.rate_limited(seconds=3600), "failed", "rate_limited"),
        (upstream.empty_list(), "failed", "empty_answer"),
        (upstream.reset(), "failed", "connection_lost"),
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
    market.answers(upstream.real(), upstream.real(), *[upstream.status(503)] * 3)
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


def test_an_older_list_never_replaces_a_newer_one(engine, tmp_path):
    load(engine, tmp_path, "coingecko_coins", [coin("a", ethereum="0xnew")], at=2)
    load(engine, tmp_path, "coingecko_coins", [coin("a", ethereum="0xnew")], at=9)
    late = load(engine, tmp_path, "coingecko_coins", [coin("a", ethereum="0xold")], at=5)

    assert late.counts.new == 1
    assert held(engine, "coingecko") == {("a", "ethereum", "0xnew")}
    reprocess(engine, adapter("coingecko_coins", OFFLINE))
    assert held(engine, "coingecko") == {("a", "ethereum", "0xnew")}
    assert verify(engine, [adapter("coingecko_coins", OFFLINE)]).findings == ()


def test_a_contract_that_goes_to_another_coin_leaves_the_first(engine, tmp_path):
    load(engine, tmp_path, "coinpaprika_contracts", [contract("old-old")], at=1)
    load(engine, tmp_path, "coinpaprika_contracts", [contract("new-new")], at=2)

    assert held(engine, "coinpaprika") == {("new-new", "ethereum", USDT.lower())}


def test_a_contract_that_two_coins_claim_at_once_is_of_both(engine, tmp_path):
    both = [contract("one-one"), contract("two-two")]
    load(engine, tmp_path, "coinpaprika_contracts", both, at=1)
    load(engine, tmp_path, "coinpaprika_contracts", both, at=2)

    assert {row[0] for row in held(engine, "coinpaprika")} == {"one-one", "two-two"}


def test_a_contract_that_is_not_active_is_none(engine, tmp_path):
    load(engine, tmp_path, "coinpaprika_contracts", [contract("a-a", active=True)], at=1)
    assert len(held(engine, "coinpaprika")) == 1

    load(engine, tmp_path, "coinpaprika_contracts", [contract("a-a", active=False)], at=2)

    assert held(engine, "coinpaprika") == set()


def test_the_contracts_of_an_old_id_stay_when_a_new_one_has_them(engine, tmp_path):
    load(engine, tmp_path, "coingecko_coins", [coin("old", ethereum=USDT)], at=1)
    load(engine, tmp_path, "coingecko_coins", [coin("new", ethereum=USDT)], at=2)

    assert {row[0] for row in held(engine, "coingecko")} == {"old", "new"}


LISTINGS_OF_DAYS = [
    ("coingecko_coins", "coins", 1, [coin("a", ethereum=USDT), coin("b", solana="Bb")]),
    ("coingecko_coins", "coins", 2, [coin("a", tron="T"), coin("b", solana="Bb")]),
    ("coingecko_coins", "coins", 3, [coin("a", ethereum=USDT), coin("b", solana="bb")]),
    ("coinpaprika_contracts", "eth-ethereum", 1, [contract("a-a"), contract("b-b")]),
    ("coinpaprika_contracts", "eth-ethereum", 2, [contract("b-b")]),
]


def test_lists_come_to_the_same_in_any_order(engine, tmp_path):
    found = set()
    for days in itertools.islice(itertools.permutations(LISTINGS_OF_DAYS), 0, 120, 7):
        for source, name, at, records in days:
            load(engine, tmp_path, source, records, at, name)
        report = verify(engine, [adapter(name, OFFLINE) for name in LISTS])
        assert report.findings == ()
        assert held(engine, "coingecko") == {("a", "ethereum", USDT.lower()), ("b", "solana", "bb")}
        assert held(engine, "coinpaprika") == {("b-b", "ethereum", USDT.lower())}
        found.add(report.fingerprint)
        with engine.begin() as conn:
            tables = ["contract_claims", "contracts", *(raw.name for raw in RAW_LISTS.values())]
            conn.execute(text(f"TRUNCATE {', '.join(tables)}, runs, checkpoints, shapes, drift"))
    assert len(found) == 1


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
@pytest.mark.parametrize("point", CRASH_POINTS)
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


def test_a_refused_record_is_kept_and_can_be_retried(engine, tmp_path):
    broken = [*(coin(f"c{n}", ethereum=f"0x{n}") for n in range(20)), coin("bad", ethereum=7)]
    result = load(engine, tmp_path, "coingecko_coins", broken, at=1)
    assert (result.counts.new, result.counts.rejected) == (20, 1)
    with engine.connect() as conn:
        row = conn.execute(select(rejects)).one()
    assert row.external_id == "bad"
    assert row.reasons == ["platforms: 'ethereum': not an address: 7"]

    again = retry(engine, adapter("coingecko_coins", OFFLINE), Wanted(), Options())

    assert again.counts.rejected == 1
    assert verify(engine).findings == ()


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([{"address": USDT}], "id: Missing data for required field"),
        ([contract("a-a", 7)], "address: not a text: 7"),
        ([contract("a-a", active="yes")], "active: Not a valid boolean"),
        ([contract("a-a", "x" * 301)], "address: longer than 300 characters"),
    ],
)
def test_a_contract_that_is_none_is_refused(engine, tmp_path, records, reason):
    load(engine, tmp_path, "coinpaprika_contracts", records, at=1)

    with engine.connect() as conn:
        row = conn.execute(select(rejects)).one()
    assert row.reasons == [reason]
    assert json.loads(row.payload) == {"platform": "eth-ethereum", "contract": records[0]}


def test_a_new_platform_is_no_drift_and_a_record_without_platforms_is(engine, market):
    runner = Runner(engine, market, "coingecko_coins")
    runner.run()
    market.market.moved = {n: {f"chain-{n}": f"a{n}"} for n in range(1, 30)}
    assert runner.run().ending.outcome == "succeeded"
    with engine.connect() as conn:
        assert conn.scalar(text("SELECT count(*) FROM drift")) == 0

    market.etags = False
    market.answers(upstream.edited(lambda body: body.replace(b'"platforms"', b'"chains"')))

    assert runner.run().ending.outcome == "failed"
    with engine.connect() as conn:
        paths = set(conn.scalars(text("SELECT path FROM drift")))
    assert {"platforms", "chains"} <= paths


def test_lists_and_prices_of_a_provider_share_its_requests(database_url, market, tmp_path):
    env = processes.environ(database_url, market, COINGECKO_REQUESTS_PER_MONTH=2)
    assert processes.run_worker("run --once --source coingecko", env, tmp_path).returncode == 0
    assert (
        processes.run_worker("run --once --source coingecko_coins", env, tmp_path).returncode == 0
    )

    spent = processes.run_worker("run --once --source coingecko_coins", env, tmp_path)

    assert spent.returncode == 1
    assert "raise COINGECKO_REQUESTS_PER_MONTH" in spent.stdout
    status = processes.run_worker("status --json", env, tmp_path)
    used = {each["source"]: each for each in json.loads(status.stdout)["budgets"]}
    assert used["coingecko"]["requests_used"] == 2
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
    market.answers(upstream.status(401))
    assert processes.run_worker("run --once", env, tmp_path).returncode == 1
    assert processes.run_worker("run --once", env, tmp_path).stdout == ""

    with engine.begin() as conn:
        conn.execute(text("UPDATE runs SET started_at = started_at - interval '61 minutes'"))

    assert "succeeded" in processes.run_worker("run --once", env, tmp_path).stdout


def test_identity_is_decided_anew_for_the_listings_whose_contracts_change(engine, tmp_path):
    batches.load(engine, batches.COINGECKO, batches.market("a", "aaa", "Alpha"))
    with engine.begin() as conn:
        conn.execute(text("UPDATE listings SET match_method = 'stale'"))

    load(engine, tmp_path, "coingecko_coins", [coin("b", ethereum=USDT)], at=1)
    with engine.connect() as conn:
        assert conn.scalar(text("SELECT match_method FROM listings")) == "stale"
    load(engine, tmp_path, "coingecko_coins", [coin("a", ethereum="0xa")], at=1)

    with engine.connect() as conn:
        assert conn.scalar(text("SELECT match_method FROM listings")) == "own"
        assert conn.scalar(select(func.count()).select_from(assets)) == 1
        assert conn.scalar(select(func.count()).select_from(identity_events)) == 1


def test_a_contract_that_is_gone_takes_a_link_apart_though_no_symbol_is_shared(engine, tmp_path):
    batches.load(engine, batches.COINGECKO, batches.market("foo", "xxx", "Foo"))
    batches.load(engine, batches.COINPAPRIKA, batches.ticker("yyy-bar", "YYY", "Bar"))
    load(engine, tmp_path, "coingecko_coins", [coin("foo", ethereum=USDT)], at=1, name="list")
    load(engine, tmp_path, "coinpaprika_contracts", [contract("yyy-bar")], at=1)
    assert count_assets(engine) == 1

    load(engine, tmp_path, "coinpaprika_contracts", [contract("yyy-bar", active=False)], at=2)

    assert count_assets(engine) == 2
    assert verify(engine).findings == ()


def test_a_coin_that_gives_up_a_contract_leaves_it_to_the_others_that_name_it(engine, tmp_path):
    coins = [batches.market("foo", "xxx", "Foo"), batches.market("zed", "zzz", "Zed")]
    batches.load(engine, batches.COINGECKO, *coins)
    batches.load(engine, batches.COINPAPRIKA, batches.ticker("yyy-bar", "YYY", "Bar"))
    both = [coin("foo", ethereum=USDT), coin("zed", ethereum=USDT)]
    load(engine, tmp_path, "coingecko_coins", both, at=1, name="list")
    load(engine, tmp_path, "coinpaprika_contracts", [contract("yyy-bar")], at=1)
    assert count_assets(engine) == 3

    load(engine, tmp_path, "coingecko_coins", [both[0], coin("zed")], at=2, name="list")

    assert count_assets(engine) == 2
    assert verify(engine).findings == ()


def test_a_price_of_what_is_one_by_contract_alone_is_decided_on_at_once(engine, tmp_path):
    """CSV's Foo has CoinGecko's symbol, and the price of CoinPaprika's, whose symbol is another."""
    load(engine, tmp_path, "coingecko_coins", [coin("foo", ethereum=USDT)], at=1, name="list")
    load(engine, tmp_path, "coinpaprika_contracts", [contract("yyy-bar")], at=1)
    foo = batches.market("foo", "xxx", "Foo", "null", circulating_supply=None)
    batches.load(engine, batches.COINGECKO, foo)
    batches.load(engine, batches.COINPAPRIKA, batches.ticker("yyy-bar", "YYY", "Bar", 100))
    batches.load(engine, batches.CSV, batches.row("foo", "XXX", "Foo", "1"))
    assert count_assets(engine) == 2

    agreeing = batches.ticker("yyy-bar", "YYY", "Bar", 1, batches.LATER)
    batches.load(engine, batches.COINPAPRIKA, agreeing)

    assert count_assets(engine) == 1
    assert verify(engine).findings == ()


def count_assets(engine):
    with engine.connect() as conn:
        return conn.scalar(select(func.count()).select_from(assets))
