"""The lists of contracts, whatever becomes of their source, their order and their worker."""

import json
import os
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from shared.tables import RAW_LISTS, contracts
from tests.fakes import upstream
from tests.fakes.market import coin_id
from tests.fakes.runner import Runner, adapter
from tests.fakes.upstream import Upstream
from worker import pipeline
from worker.pipeline import Options

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
        (upstream.body(b"{}"), "failed", "error_answer"),
        (upstream.rate_limited(seconds=3600), "failed", "rate_limited"),
        (upstream.empty_list(), "partial", "empty_answer"),
        (upstream.reset(), "failed", "connection_lost"),
    ],
)
def test_an_outage_is_named_and_takes_nothing_away(engine, market, name, answer, outcome, reason):
    runner = Runner(engine, market, name)
    runner.run()
    before, checkpoint = held(engine, LISTED_BY[name]), runner.checkpoint()
    market.always(answer)

    ending = runner.run().ending

    assert (ending.outcome, ending.reason) == (outcome, reason)
    assert held(engine, LISTED_BY[name]) == before
    assert runner.checkpoint().cursor == checkpoint.cursor
    runner.sound()
