"""One value that is not readable costs a record that value, in JSON as in CSV."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, select

from shared.schema.market import listings
from shared.schema.operations import rejects
from tests.fakes import answers as says
from tests.fakes.batches import COINGECKO, COINPAPRIKA, CSV, load, market, row, ticker
from tests.fakes.runner import Runner
from tests.fakes.upstream import Upstream
from worker.maintenance.reprocess import reprocess
from worker.maintenance.verify import verify

UNREADABLE = ["abc", "NaN", -5, True, [1], {"usd": 1}, 1e300]


def listed(engine: Engine) -> dict[str, Any]:
    with engine.connect() as conn:
        return dict(conn.execute(select(listings)).mappings().one())


def refused(engine: Engine) -> list[list[str]]:
    with engine.connect() as conn:
        return list(conn.scalars(select(rejects.c.reasons)))


def spoil(every: int, **fields: Any) -> Callable[[bytes], bytes]:
    def edit(body: bytes) -> bytes:
        coins = json.loads(body)
        for coin in coins[::every]:
            coin.update(fields)
        return json.dumps(coins).encode()

    return edit


@pytest.mark.parametrize("value", UNREADABLE, ids=repr)
def test_a_value_that_is_not_readable_is_null_and_the_others_stay(engine: Engine, value: object):
    counts = load(engine, COINGECKO, market("sol", "sol", "Solana", 1.5, market_cap=value))

    assert (counts.new, counts.rejected) == (1, 0)
    listing = listed(engine)
    assert (str(listing["price_usd"]), listing["market_cap_usd"]) == ("1.5", None)
    assert listing["volume_24h_usd"] == 10
    before = verify(engine)
    reprocess(engine, COINGECKO)
    after = verify(engine)
    assert before.findings == after.findings == ()
    assert before.fingerprint == after.fingerprint


def test_every_source_reads_a_value_that_is_not_readable_as_null(engine: Engine):
    supply = json.loads(ticker("sol-solana", "SOL", "Solana")) | {"total_supply": -5}
    supply["quotes"]["USD"]["market_cap"] = "abc"
    cells = json.loads(row("sol", "SOL", "Solana"))
    cells["row"]["market_cap_usd"] = "abc"

    for source, document in ((COINPAPRIKA, supply), (CSV, cells)):
        assert load(engine, source, json.dumps(document).encode()).new == 1

    with engine.connect() as conn:
        rows = conn.execute(select(listings.c.price_usd, listings.c.market_cap_usd)).all()
    assert [tuple(each) for each in rows] == [(1, None)] * 2
    assert verify(engine).findings == ()


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("id", 7, "id: not a text: 7"),
        ("name", "", "name: empty"),
        ("symbol", 7, "symbol: not a text: 7"),
        ("last_updated", "yesterday", "last_updated: not a time: 'yesterday'"),
        ("current_price", "abc", "current_price: not a number: 'abc'"),
    ],
)
def test_what_a_record_cannot_do_without_refuses_it(
    engine: Engine, field: str, value: object, reason: str
):
    document = json.loads(market("sol", "sol", "Solana")) | {"market_cap": "abc", field: value}

    load(engine, COINGECKO, json.dumps(document).encode())

    [[said]] = refused(engine)
    assert said.startswith(reason)


def test_a_record_whose_only_value_is_not_readable_is_refused(engine: Engine):
    nothing = dict.fromkeys(("total_volume", "circulating_supply"))
    load(engine, COINGECKO, market("sol", "sol", "Solana", "null", market_cap="abc", **nothing))

    assert refused(engine) == [["market_cap_usd: not a number: 'abc'"]]


def test_a_run_says_which_values_were_not_readable(engine: Engine):
    with Upstream(assets=20) as upstream:
        runner = Runner(engine, upstream, "coingecko")
        upstream.answers(says.edited(spoil(20, market_cap="abc", max_supply=-1)))
        ran = runner.run()

    assert (ran.ending.outcome, ran.counts.rejected) == ("succeeded", 0)
    told = "1 value is not readable and null, first page 1, record 1"
    assert ran.notes == [
        f"market_cap_usd: {told}: not a number: 'abc'",
        f"max_supply: {told}: negative: -1",
    ]
    runner.sound()


def test_a_run_with_many_values_that_are_not_readable_is_partial_until_they_are(engine: Engine):
    with Upstream(assets=20) as upstream:
        runner = Runner(engine, upstream, "coinpaprika")
        upstream.always(says.edited(spoil(1, total_supply=-1)))
        for _ in range(2):  # the second pass must not be told that nothing was modified
            ran = runner.run()
            assert (ran.ending.outcome, ran.ending.reason) == ("partial", "unreadable_values")
            assert "20 of 20 records have an unreadable value" in (ran.ending.error or "")

        upstream.always(None)
        assert runner.run().succeeded
        assert runner.last_run().records_rejected == 0
    runner.sound()


def test_a_run_that_goes_on_counts_the_values_of_the_runs_before_it(engine: Engine):
    with Upstream(assets=750) as upstream:
        runner = Runner(engine, upstream, "coingecko")
        upstream.always(says.edited(spoil(6, market_cap="abc")))
        upstream.answers(says.status(404), page=3)
        assert runner.run().ending.outcome == "failed"
        assert runner.last_run().records_unreadable == 84

        resumed = runner.run().ending

        assert (resumed.outcome, resumed.reason) == ("partial", "unreadable_values")
        assert "126 of 750 records" in str(resumed.error)
        assert runner.last_run().records_unreadable == 42
    runner.sound()
