"""What a run notes of itself with every batch: its time by phase, and prices that jumped."""

from itertools import count

import pytest
from sqlalchemy import Engine, select

from shared.model.runs import PHASES
from shared.schema.operations import runs
from tests.fakes.answers import Answer
from tests.fakes.batches import COINGECKO, EARLIER, LATER, NOON, batch, load, market, open_run
from tests.fakes.runner import Runner
from tests.fakes.upstream import Upstream
from worker.ingest.batch import transaction
from worker.ingest.runs.phases import Phases


def prices(engine: Engine) -> tuple[int, int]:
    """How many prices the last run compared, and how many of them jumped."""
    with engine.connect() as conn:
        stmt = select(runs.c.prices_compared, runs.c.prices_jumped).order_by(runs.c.id.desc())
        return tuple(conn.execute(stmt.limit(1)).one())


def coin(price: object, at: str = LATER, external_id: str = "bitcoin") -> bytes:
    return market(external_id, external_id, external_id, price, at)


@pytest.mark.parametrize(
    ("old", "new", "counted"),
    [
        (1, 2, (1, 0)),
        (1, "2.000000000000000000001", (1, 1)),
        (2, 1, (1, 0)),
        (2, "0.999999999999999999999", (1, 1)),
        ("1e-12", "1e12", (1, 1)),
        (0, 5, (0, 0)),
        (5, 0, (0, 0)),
        ("null", 5, (0, 0)),
        (5, "null", (0, 0)),
    ],
)
def test_a_price_jumps_to_more_than_twice_or_less_than_half_of_the_older(
    engine: Engine, old: object, new: object, counted: tuple[int, int]
):
    load(engine, COINGECKO, coin(old, NOON))
    assert prices(engine) == (0, 0)

    load(engine, COINGECKO, coin(new))

    assert prices(engine) == counted


def test_only_a_record_of_a_known_listing_that_is_no_older_is_compared(engine: Engine):
    load(engine, COINGECKO, coin(100, NOON))

    load(engine, COINGECKO, coin(1, EARLIER))
    assert prices(engine) == (0, 0)

    load(engine, COINGECKO, coin(100, NOON), coin(7, NOON, "ether"))
    assert prices(engine) == (0, 0)

    load(engine, COINGECKO, *(coin(price, NOON) for price in (1, 2, 3)))
    assert prices(engine) == (1, 1)


def test_of_each_listing_the_newest_record_of_a_batch_is_compared(engine: Engine):
    load(engine, COINGECKO, coin(10, EARLIER), coin(10, EARLIER, "ether"))

    load(engine, COINGECKO, coin(1000, NOON), coin(11, LATER), coin(30, LATER, "ether"))

    assert prices(engine) == (2, 1)


def test_the_batches_of_a_run_add_up(engine: Engine):
    load(engine, COINGECKO, coin(1, NOON), coin(1, NOON, "ether"))
    with engine.connect() as conn:
        run_id = open_run(conn, COINGECKO)
        for payload in (coin(3), coin(1, LATER, "ether"), coin(1, LATER, "ether")):
            transaction.load_batch(conn, COINGECKO.name, run_id, batch(COINGECKO, payload))

    assert prices(engine) == (2, 1)


def test_a_batch_that_is_rolled_back_leaves_no_count(engine: Engine):
    def fail(point: str) -> None:
        if point == "before_commit":
            raise ZeroDivisionError

    load(engine, COINGECKO, coin(1, NOON))
    with engine.connect() as conn:
        run_id = open_run(conn, COINGECKO)
        with pytest.raises(ZeroDivisionError):
            transaction.load_batch(conn, COINGECKO.name, run_id, batch(COINGECKO, coin(9)), fail)
    assert prices(engine) == (0, 0)

    load(engine, COINGECKO, coin(9))
    assert prices(engine) == (1, 1)


def test_a_batch_commits_what_its_run_took_so_far(engine: Engine):
    seconds = count()
    phases = Phases(lambda: float(next(seconds)))  # each look at the clock is a second
    phases.add("wait", 59.0004)
    with engine.connect() as conn:
        run_id = open_run(conn, COINGECKO)
        for price in (1, 2):
            transaction.load_batch(
                conn, COINGECKO.name, run_id, batch(COINGECKO, coin(price)), phases=phases
            )
            with engine.connect() as other:
                noted = other.scalar(select(runs.c.phase_seconds))
            assert set(noted) == set(PHASES)
            assert noted["wait"] == 59
            # the commit is under way when this is written, so it is the next batch's to say
            assert (noted["load"], noted["commit"]) == (price, price - 1)


def test_a_run_notes_its_phases_and_keeps_them_where_it_fails(engine: Engine):
    with Upstream(assets=300) as upstream:
        runner = Runner(engine, upstream, "coingecko")
        runner.run()
        whole = runner.last_run().phase_seconds
        upstream.answers(Answer(status=401), page=2)
        runner.run()
        broken = runner.last_run()

    assert set(whole) == set(PHASES)
    assert all(whole[phase] > 0 for phase in ("fetch", "check", "load", "commit"))
    assert broken.outcome == "failed"
    assert broken.phase_seconds["fetch"] > 0
