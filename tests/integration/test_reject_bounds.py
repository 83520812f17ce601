"""How many payloads are kept of a run that refuses too much, and what is counted of the rest."""

import json

import pytest
from sqlalchemy import Engine, select, update

from shared.schema.operations import rejects, runs
from tests.fakes import answers as says
from tests.fakes.cases import sparse
from tests.fakes.runner import QUICK, Runner
from tests.fakes.upstream import Upstream
from worker.ingest.batch.rejects import MOST_STORED, OpenRejects, dismiss

SIZE = 600


def refused(body: bytes) -> bytes:
    """Spoil each price of a page, each in its own way."""
    coins = json.loads(body)
    for number, coin in enumerate(coins):
        coin["current_price"] = -1 - number
        coin["symbol"] = 7 if number % 2 else "x"
    return json.dumps(coins).encode()


def spoil(upstream: Upstream, *pages: int) -> None:
    for page in pages:
        upstream.answers(says.edited(refused), page=page)


@pytest.fixture
def runner(engine: Engine):
    with Upstream(assets=SIZE) as upstream:
        yield Runner(engine, upstream, "coingecko")


def kept(engine: Engine) -> list[bytes]:
    with engine.connect() as conn:
        stmt = select(rejects.c.payload).order_by(rejects.c.payload_hash)
        return [bytes(payload) for payload in conn.scalars(stmt)]


def test_a_run_that_is_refused_whole_keeps_some_payloads_and_counts_the_others(runner, engine):
    spoil(runner.upstream, 1, 2, 3)

    result = runner.run()

    assert result.ending.reason == "too_many_rejects"
    assert result.counts.fetched == result.counts.rejected == SIZE
    assert len(kept(engine)) == MOST_STORED
    row = runner.last_run()
    assert row.rejects_dropped == SIZE - MOST_STORED
    assert row.rejects_dropped_reasons["current_price: negative"] == SIZE - MOST_STORED
    assert 0 < row.rejects_dropped_reasons["symbol: not a text"] <= SIZE / 2
    assert f"The payloads of {SIZE - MOST_STORED} of them are not stored" in row.error
    runner.sound()


def test_pass_after_pass_that_is_refused_keeps_no_more_payloads(runner, engine):
    payloads = []
    for dropped in (SIZE - MOST_STORED, SIZE, SIZE):
        runner.upstream.market.tick(60)
        spoil(runner.upstream, 1, 2, 3)
        runner.run()
        assert runner.last_run().rejects_dropped == dropped
        payloads.append(kept(engine))

    assert len(payloads[0]) == MOST_STORED
    assert payloads == [payloads[0]] * 3
    runner.sound()


def test_payloads_that_were_dismissed_make_room_for_those_of_the_next_refused_run(runner, engine):
    spoil(runner.upstream, 1, 2, 3)
    runner.run()
    with engine.begin() as conn:
        dismiss(conn, OpenRejects(source="coingecko"), "seen", "ada")

    runner.upstream.market.tick(60)
    spoil(runner.upstream, 1, 2, 3)
    runner.run()

    assert runner.last_run().rejects_dropped == SIZE - MOST_STORED
    assert len(kept(engine)) == 2 * MOST_STORED
    runner.sound()


def test_a_run_with_few_rejects_keeps_every_payload(runner, engine):
    def some(body: bytes) -> bytes:
        coins = json.loads(body)
        for coin in coins[:55]:
            coin["current_price"] = -1
        return json.dumps(coins).encode()

    runner.upstream.answers(says.edited(some), page=1)

    result = runner.run()

    assert result.ending.outcome == "succeeded"
    assert len(kept(engine)) == 55
    assert runner.last_run().rejects_dropped == 0


def test_which_payloads_are_kept_does_not_depend_on_where_a_run_was_cut_off(engine, runner):
    spoil(runner.upstream, 1, 2, 3)
    runner.run()
    whole = kept(engine)
    with engine.begin() as conn:  # as if it had never been
        conn.execute(rejects.delete())
        conn.execute(update(runs).values(rejects_dropped=SIZE))

    spoil(runner.upstream, 1, 2)
    runner.upstream.answers(*[says.status(503)] * QUICK.attempts, page=3)
    assert runner.run().ending.reason == "http_503"
    assert len(kept(engine)) == MOST_STORED
    spoil(runner.upstream, 3)
    assert runner.run().ending.reason == "too_many_rejects"

    assert kept(engine) == whole
    runner.sound()


@pytest.mark.parametrize(("pages", "dropped"), sparse([((1,), 0), ((1, 2, 3), 650)], 2))
def test_a_run_that_breaks_off_is_measured_by_the_snapshot_that_is_expected(pages, dropped, engine):
    with Upstream(assets=3000, etags=False) as upstream:
        runner = Runner(engine, upstream, "coingecko")
        runner.run()
        spoil(upstream, *pages)
        upstream.answers(*[says.status(503)] * QUICK.attempts, page=4)

        assert runner.run().ending.reason == "http_503"

    assert runner.last_run().rejects_dropped == dropped
    runner.sound()


def test_payloads_that_were_refused_before_are_not_dropped(runner, engine):
    spoil(runner.upstream, 1, 2, 3)
    runner.run()
    before = kept(engine)

    spoil(runner.upstream, 1, 2, 3)
    runner.run()

    assert set(before) <= set(kept(engine))
    runner.sound()


def test_a_market_far_smaller_than_the_providers_list_is_partial(runner, engine):
    listing = Runner(engine, runner.upstream, "coingecko_coins")
    assert listing.run().succeeded
    runner.upstream.answers(says.empty_list(), page=2)

    result = runner.run()

    assert (result.ending.outcome, result.ending.reason) == ("partial", "fewer_than_listed")
    assert "250 records, but the provider's list has 600 coins" in result.ending.error
    assert runner.run().ending.outcome == "succeeded"


@pytest.mark.slow
def test_a_capped_market_is_read_whole_and_resumed_in_the_middle(runner):
    runner.upstream.page_cap = 50
    runner.upstream.answers(*[says.status(503)] * QUICK.attempts, page=7)
    assert runner.run().ending.reason == "http_503"
    assert runner.checkpoint().cursor == {"page": 7, "held": 50}

    assert runner.run().ending.outcome == "succeeded"

    assert runner.checkpoint().cursor is None
    assert runner.checkpoint().snapshot_records == SIZE
    assert runner.sound().counted["listings"] == SIZE


def test_a_walk_that_begins_anew_counts_its_snapshot_anew(runner):
    runner.upstream.page_cap = 50
    runner.upstream.answers(*[says.status(503)] * QUICK.attempts, page=7)
    runner.run()
    runner.upstream.page_cap = 250

    assert runner.run().ending.outcome == "succeeded"

    assert runner.checkpoint().snapshot_records == SIZE
    assert runner.sound().counted["listings"] == SIZE
