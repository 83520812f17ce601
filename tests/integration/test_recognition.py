"""Records that come again in the same bytes: what a run tells of them, and when they are read."""

from collections.abc import Callable
from datetime import datetime

import pytest
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from shared.schema.market import listings
from shared.schema.operations import runs, shapes
from tests.fakes.batches import COINGECKO, EARLIER, LATER, NOON, load, market
from tests.fakes.runner import Runner
from tests.fakes.snapshots import load_pages, statements
from tests.fakes.upstream import Upstream
from worker.ingest.runs.journal import clear_checkpoint
from worker.maintenance.migrate import downgrade, upgrade
from worker.maintenance.reprocess import reprocess
from worker.maintenance.verify import verify

COINS = [("btc", "Bitcoin"), ("eth", "Ethereum"), ("doge", "Dogecoin")]
SNAPSHOT = [market(symbol, symbol, name) for symbol, name in COINS]
READ_OTHERWISE = text(
    "UPDATE listings SET received_digest = overlay(received_digest PLACING '12345678' FROM 25)"
)
CORRECT = text("UPDATE listings SET price_usd = 7 WHERE external_id = 'btc'")


def counted(engine: Engine, *pages: list[bytes], **options: object) -> tuple[int, int, int, int]:
    """Load pages in one run; count what was new, unchanged, refused, and revised."""
    counts = load_pages(engine, *pages, **options).counts
    assert counts.fetched == sum(map(len, pages))
    return counts.new, counts.unchanged, counts.rejected, counts.revised


def read(engine: Engine, *payloads: bytes) -> bool:
    """Load records in one run; say whether any was read, and not only recognised."""
    with statements(engine) as executed:
        load_pages(engine, payloads)
    return any("INTO fresh" in statement for statement in executed)


def digests(engine: Engine) -> list[bool]:
    """Say of each listing whether its newest record would be recognised."""
    stmt = select(listings.c.received_digest.is_not(None)).order_by(listings.c.external_id)
    with engine.connect() as conn:
        return list(conn.scalars(stmt))


def test_what_came_before_is_recognised_and_what_did_not_is_read(engine: Engine):
    assert read(engine, *SNAPSHOT)
    before = verify(engine)

    assert not read(engine, *SNAPSHOT)
    assert counted(engine, SNAPSHOT) == (0, 3, 0, 0)
    assert (verify(engine), before.findings) == (before, ())

    moved = market("btc", "btc", "Bitcoin", 2, LATER)
    assert counted(engine, [moved, *SNAPSHOT[1:]]) == (1, 2, 0, 0)
    assert not read(engine, moved)


def test_in_other_bytes_the_same_record_is_read_and_recognised_from_then_on(engine: Engine):
    load_pages(engine, SNAPSHOT)
    spaced = SNAPSHOT[0].replace(b", ", b" , ")

    assert read(engine, spaced)
    assert counted(engine, [spaced]) == (0, 1, 0, 0)
    assert not read(engine, spaced)


def test_a_run_counts_and_shows_what_it_recognised(engine: Engine):
    with Upstream(assets=300, etags=False) as upstream:
        runner = Runner(engine, upstream, "coingecko")
        runner.run()
        before = counts_of_shapes(engine)
        result = runner.run()

    assert result.ending.outcome == "succeeded"
    assert (result.counts.fetched, result.counts.unchanged) == (300, 300)
    assert counts_of_shapes(engine) == [(*place, 2 * records) for *place, records in before]
    assert runner.checkpoint().snapshots == 2
    with engine.connect() as conn:
        shown = conn.scalar(
            text("SELECT sum(cardinality(external_ids)) FROM snapshot_pages WHERE seen")
        )
    assert shown == 300
    runner.sound()


def counts_of_shapes(engine: Engine) -> list[tuple[str, str, int]]:
    """Read how often each type stood at each path in all runs."""
    columns = (shapes.c.path, shapes.c.type, shapes.c.records)
    with engine.connect() as conn:
        return [tuple(row) for row in conn.execute(select(*columns).order_by(*columns[:2]))]


@pytest.mark.parametrize("pages", [1, 3])
def test_a_value_that_is_as_it_was_prevails_over_one_that_came_between(engine: Engine, pages: int):
    first = market("btc", "btc", "Bitcoin", 100)
    wrong = market("btc", "btc", "Bitcoin", 100_000)
    load_pages(engine, [first])
    received = [first, wrong, first]

    cut = [received] if pages == 1 else [[each] for each in received]
    assert counted(engine, *cut)[:2] == (1, 2)

    with engine.connect() as conn:
        assert conn.scalar(select(listings.c.price_usd)) == 100
    assert verify(engine).findings == ()
    assert not read(engine, first)


def test_what_moved_in_a_run_is_recognised_where_it_comes_again_in_it(engine: Engine):
    load_pages(engine, SNAPSHOT)
    moved = [market(symbol, symbol, name, 2, LATER) for symbol, name in COINS]

    with statements(engine) as executed:
        counts = load_pages(engine, moved, moved, moved).counts

    assert (counts.new, counts.unchanged) == (3, 6)
    assert sum("INTO fresh" in statement for statement in executed) == 1
    assert not read(engine, *moved)


def test_an_older_record_leaves_the_newest_recognised(engine: Engine):
    newest, older = (market("btc", "btc", "Bitcoin", at=at) for at in (NOON, EARLIER))
    load_pages(engine, [newest])

    assert counted(engine, [older, newest]) == (1, 1, 0, 0)
    assert counted(engine, [older]) == (0, 1, 0, 0)
    assert not read(engine, newest)
    assert verify(engine).findings == ()


def test_a_record_is_refused_where_its_time_is_in_the_future_by_now(engine: Engine):
    load_pages(engine, [SNAPSHOT[0]])

    for early in (["11:49:59"], ["12:00:00", "12:00:00", "11:49:59"]):
        assert counted(engine, [SNAPSHOT[0]], clock=clock_of(*early)) == (0, 0, 1, 0)
    assert counted(engine, [SNAPSHOT[0]], clock=clock_of("11:50:00")) == (0, 1, 0, 0)


def clock_of(*times: str) -> Callable[[], datetime]:
    """A clock that shows each of the times when it is looked at, and then always the last."""
    moments = [datetime.fromisoformat(f"2026-01-02T{time}+00:00") for time in times]
    return lambda: moments.pop(0) if len(moments) > 1 else moments[0]


def test_a_value_that_is_not_readable_is_noted_with_each_pass(engine: Engine):
    odd = market("btc", "btc", "Bitcoin", max_supply="many")

    for _ in range(2):
        load_pages(engine, [odd, *SNAPSHOT[1:]])

    with engine.connect() as conn:
        assert conn.scalars(select(runs.c.records_unreadable)).all() == [1, 1]
    assert digests(engine) == [False, True, True]


def test_a_refused_record_is_refused_with_each_pass(engine: Engine):
    refused = market("btc", "btc", "Bitcoin", -1)

    assert [counted(engine, [refused, *SNAPSHOT[1:]]) for _ in range(2)] == [
        (2, 0, 1, 0),
        (0, 2, 1, 0),
    ]


def test_what_another_release_read_is_read_once(engine: Engine):
    load_pages(engine, SNAPSHOT)
    with engine.begin() as conn:
        conn.execute(READ_OTHERWISE)

    assert read(engine, *SNAPSHOT)
    assert not read(engine, *SNAPSHOT)


def test_what_was_loaded_in_other_ways_is_read_once(engine: Engine):
    load(engine, COINGECKO, *SNAPSHOT)

    assert digests(engine) == [False, False, False]
    assert read(engine, *SNAPSHOT)
    assert not read(engine, *SNAPSHOT)


def test_a_rebuild_forgets_what_it_corrects(engine: Engine):
    load_pages(engine, SNAPSHOT)
    with engine.begin() as conn:
        conn.execute(CORRECT)

    reprocess(engine, COINGECKO)

    assert digests(engine) == [False, True, True]
    assert verify(engine).findings == ()


def test_a_source_that_is_set_back_finds_all_unchanged(engine: Engine):
    load_pages(engine, SNAPSHOT)

    clear_checkpoint(engine, "coingecko")

    assert counted(engine, SNAPSHOT) == (0, 3, 0, 0)


def test_a_migrated_database_reads_each_record_once(empty_database_url: URL):
    upgrade(empty_database_url)
    engine = create_engine(empty_database_url, poolclass=NullPool)
    load_pages(engine, SNAPSHOT)
    before = verify(engine)
    downgrade(empty_database_url, "0009")
    upgrade(empty_database_url)

    assert verify(engine) == before
    assert read(engine, *SNAPSHOT)
    assert not read(engine, *SNAPSHOT)
    engine.dispose()
