"""Several records of one listing and instant: the one that its source sent last prevails."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, select, text, update

from shared.errors import InjectedFailureError
from shared.schema.market import assets, listings, observations
from shared.schema.operations import runs
from shared.schema.raw import RAW
from tests.fakes.batches import COINGECKO, LATER, NOON, batch, load, market, open_run
from tests.fakes.cases import sparse
from tests.fakes.databases import empty
from worker.database.statements import MOST_TIMES
from worker.ingest.batch import transaction
from worker.maintenance.reprocess import reprocess
from worker.maintenance.verify import verify

RAW_COINGECKO = RAW["coingecko"]

BEGIN = datetime(2026, 1, 3, tzinfo=UTC)

# From `begin` on two records took turns, a minute each; that of price 1 came first.
ALTERNATE = """
UPDATE {table} AS t SET
  ingested_at = CAST(:begin AS timestamptz) + (1 - is_first::int) * interval '1 min',
  superseded_before = (
    SELECT range_agg(tstzrange(at, at + interval '1 min'))
    FROM generate_series(1, :times) AS n,
         LATERAL (SELECT (2 * n - is_first::int) * interval '1 min' AS later) AS place,
         LATERAL (SELECT CAST(:begin AS timestamptz) + later AS at) AS started)
FROM (SELECT payload_hash, price_usd = 1 AS is_first FROM observations) AS o
WHERE o.payload_hash = t.payload_hash
"""

KEPT_TIMES = text("""
SELECT price_usd, (SELECT count(*) FROM unnest(superseded_before)) FROM observations
""")


def one(price: object, **fields: object) -> bytes:
    return market("bitcoin", "btc", "Bitcoin", price, **fields)


def shown(engine: Engine) -> object:
    """Return the price of the asset, which is its listing's."""
    with engine.connect() as conn:
        [price] = conn.scalars(select(assets.c.price_usd)).all()
        assert conn.scalars(select(listings.c.price_usd)).all() == [price]
    return price


def prevailing(engine: Engine) -> list[object]:
    with engine.connect() as conn:
        stmt = select(observations.c.price_usd).where(observations.c.superseded_at.is_(None))
        return list(conn.scalars(stmt.order_by(observations.c.observed_at)))


def sound(engine: Engine) -> str:
    report = verify(engine, [COINGECKO])
    assert report.findings == ()
    return report.fingerprint


@pytest.mark.parametrize("order", sparse(map(list, permutations((1, 2, 3))), 2))
def test_in_any_order_the_last_received_prevails_and_a_rebuild_changes_nothing(
    engine: Engine, order: list[int]
):
    for price in order:
        load(engine, COINGECKO, one(price))

    assert shown(engine) == order[-1]
    assert prevailing(engine) == [order[-1]]
    before = sound(engine)
    reprocess(engine, COINGECKO)
    assert (shown(engine), sound(engine)) == (order[-1], before)


def test_a_value_that_was_wrong_and_is_right_again_ends_right(engine: Engine):
    counts = [load(engine, COINGECKO, one(price)) for price in (100, 100_000, 100)]

    assert shown(engine) == 100
    assert [(each.new, each.unchanged, each.revised) for each in counts] == [
        (1, 0, 0),
        (1, 0, 1),
        (0, 1, 1),
    ]
    with engine.connect() as conn:
        assert conn.scalars(select(runs.c.records_revised).order_by(runs.c.id)).all() == [0, 1, 1]
        kept = conn.execute(select(RAW_COINGECKO).order_by(RAW_COINGECKO.c.run_id)).all()
    assert [(row.superseded_at is None, row.superseded_before is None) for row in kept] == [
        (True, False),
        (False, True),
    ]
    sound(engine)


def test_one_batch_is_received_in_its_order_however_it_is_cut_and_repeated(engine: Engine):
    records = [one(1), one(2), one(1), one(3), one(2)]
    fingerprints = set()
    for cut in range(len(records)):
        empty(engine)
        parts = [part for part in (records[:cut], records[cut:]) if part]
        for part in parts:
            load(engine, COINGECKO, *part)
        for part in parts:  # as after a kill: the page is read from its start again
            load(engine, COINGECKO, *part)
        assert shown(engine) == 2
        fingerprints.add(sound(engine))

    assert len(fingerprints) == 1


def test_the_same_page_again_is_unchanged(engine: Engine):
    load(engine, COINGECKO, one(1), one(2))
    with engine.connect() as conn:
        version = conn.scalar(select(assets.c.version))

    counts = load(engine, COINGECKO, one(1), one(2))

    assert (counts.new, counts.unchanged, counts.revised) == (0, 2, 0)
    with engine.connect() as conn:
        assert conn.scalar(select(assets.c.version)) == version


def test_a_revision_of_an_older_instant_changes_history_alone(engine: Engine):
    load(engine, COINGECKO, one(1), one(5, at=LATER))

    counts = load(engine, COINGECKO, one(2))

    assert (counts.new, counts.revised) == (1, 1)
    assert shown(engine) == 5
    assert prevailing(engine) == [2, 5]
    sound(engine)


@pytest.mark.parametrize("point", ["after_raw", "after_observations", "before_commit"])
def test_a_revision_that_breaks_off_leaves_nothing(engine: Engine, point: str):
    load(engine, COINGECKO, one(1))
    load(engine, COINGECKO, one(2))
    before = sound(engine)

    def at(reached: str) -> None:
        if reached == point:
            raise InjectedFailureError(point)

    with engine.connect() as conn:
        run_id = open_run(conn, COINGECKO)
        with pytest.raises(InjectedFailureError):
            transaction.load_batch(conn, "coingecko", run_id, batch(COINGECKO, one(1)), at)
    assert (shown(engine), sound(engine)) == (2, before)

    load(engine, COINGECKO, one(1))

    assert shown(engine) == 1
    sound(engine)


def test_the_times_that_are_kept_are_bounded_and_right_within_the_bound(
    engine: Engine, client: FlaskClient
):
    for price in (1, 2, 1, 2, 1):
        load(engine, COINGECKO, one(price))
    with engine.begin() as conn:
        for table in ("observations", "raw_coingecko"):
            began = {"begin": BEGIN, "times": MOST_TIMES}
            conn.execute(text(ALTERNATE.format(table=table)), began)
    flips = [load(engine, COINGECKO, one(price)) for price in (2, 1, 2, 1)]

    assert [each.revised for each in flips] == [1, 1, 1, 1]
    with engine.connect() as conn:
        kept = dict(conn.execute(KEPT_TIMES).all())
    assert kept == {1: MOST_TIMES, 2: MOST_TIMES}
    before = sound(engine)
    reprocess(engine, COINGECKO)
    assert sound(engine) == before

    def known(minutes: float) -> float | None:
        at = BEGIN + timedelta(minutes=minutes)
        asked = {"known_at": at.isoformat(), "as_of": NOON, "fields": "price_usd"}
        [asset] = client.get("/data", query_string=asked).json["data"]
        return asset["price_usd"]

    end = 2 * MOST_TIMES
    assert [known(end - back) for back in (0.5, 1.5, 2.5, 3.5)] == [2, 1, 2, 1]
    assert [known(minutes) for minutes in (0.5, 5.5, 6.5, 7.5, 8.5)] == [1, 2, 1, 2, 1]
    # Two times of each are not kept any more: both count then, and one is shown.
    assert len({known(minutes) for minutes in (1.5, 2.5, 3.5, 4.5)}) == 1


def test_verify_finds_an_instant_of_which_two_records_prevail(engine: Engine):
    load(engine, COINGECKO, one(1), one(2))
    with engine.begin() as conn:
        conn.execute(update(observations).values(superseded_at=None))

    checks = {finding.check for finding in verify(engine).findings}

    assert "one_record_of_an_instant_prevails" in checks
    assert "observations_have_their_raw (coingecko)" in checks
