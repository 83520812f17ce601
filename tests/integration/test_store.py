from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import permutations

import pytest
from sqlalchemy import Engine, func, select, text
from sqlalchemy.engine import URL

from shared.errors import LockedError
from shared.schema.market import assets, listings, observations
from shared.schema.operations import checkpoints, rejects, runs
from shared.schema.raw import RAW
from tests.fakes.batches import (
    COINGECKO,
    COINPAPRIKA,
    EARLIER,
    LATER,
    NOON,
    batch,
    load,
    market,
    open_run,
    ticker,
)
from tests.fakes.cases import some_of
from tests.fakes.databases import empty
from worker.database.engine import writer_engine
from worker.database.locks import locked, worker_name
from worker.ingest.batch import transaction
from worker.ingest.batch.contents import Counts
from worker.maintenance.verify import verify

BITCOIN = market("bitcoin", "btc", "Bitcoin", 50000)


def count(engine: Engine, table) -> int:
    with engine.connect() as conn:
        return conn.scalar(select(func.count()).select_from(table))


def price(engine: Engine, slug: str = "bitcoin") -> Decimal:
    with engine.connect() as conn:
        return conn.scalar(select(assets.c.price_usd).where(assets.c.slug == slug))


def test_loading_a_batch_twice_changes_nothing_the_second_time(engine: Engine):
    assert load(engine, COINGECKO, BITCOIN) == Counts(fetched=1, new=1)
    before = verify(engine).fingerprint

    assert load(engine, COINGECKO, BITCOIN) == Counts(fetched=1, unchanged=1)
    assert verify(engine).fingerprint == before


def test_white_space_and_the_order_of_keys_make_no_revision(engine: Engine):
    load(engine, COINGECKO, BITCOIN)
    respelled = BITCOIN.replace(b", ", b" ,\n\t ")

    assert respelled != BITCOIN
    assert load(engine, COINGECKO, respelled) == Counts(fetched=1, unchanged=1)


def test_a_record_that_is_in_a_batch_twice_is_loaded_once(engine: Engine):
    assert load(engine, COINGECKO, BITCOIN, BITCOIN) == Counts(fetched=2, new=1, unchanged=1)
    assert count(engine, observations) == 1


def test_an_older_record_is_history_and_never_replaces_a_newer(engine: Engine):
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 2, LATER))
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 1, EARLIER))

    assert price(engine) == 2
    assert count(engine, observations) == 2


@pytest.mark.property
def test_any_order_of_records_and_batches_gives_the_same_content(engine: Engine):
    loads = [
        (COINGECKO, market("bitcoin", "btc", "Bitcoin", 1)),
        (COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin", 2, LATER)),
        (COINGECKO, market("bitcoin-2", "btc", "bitcoin ", 3)),
        (COINGECKO, market("bitcoin-2", "btc2", "Bitcoin", 4, LATER)),
    ]
    fingerprints = set()
    for order in some_of(permutations(loads), 5):
        empty(engine)
        for source, payload in order:
            load(engine, source, payload)
        report = verify(engine)
        assert not report.findings
        fingerprints.add(report.fingerprint)

    assert len(fingerprints) == 1


def test_no_digit_is_lost_between_the_payload_and_the_asset(engine: Engine):
    spelled = "123456789012345678.000000000000000000000123456789"
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", spelled))

    assert price(engine) == Decimal(spelled)
    with engine.connect() as conn:
        stored = conn.scalar(text("SELECT payload->>'current_price' FROM raw_coingecko"))
    assert stored == spelled


def test_a_batch_that_fails_before_its_commit_leaves_nothing(engine: Engine):
    def fail(point: str) -> None:
        if point == "before_commit":
            raise ZeroDivisionError

    with engine.connect() as conn:
        run_id = open_run(conn, COINGECKO)
        refused = market("eth", "eth", "", 1)
        with pytest.raises(ZeroDivisionError):
            transaction.load_batch(
                conn, COINGECKO.name, run_id, batch(COINGECKO, BITCOIN, refused), fail
            )

    for table in (*RAW.values(), observations, listings, assets, rejects, checkpoints):
        assert count(engine, table) == 0
    with engine.connect() as conn:
        assert conn.scalar(select(runs.c.records_fetched)) == 0


def test_a_batch_commits_its_counts_and_checkpoint_with_its_records(engine: Engine):
    with engine.connect() as conn:
        run_id = open_run(conn, COINGECKO)
        transaction.load_batch(
            conn,
            COINGECKO.name,
            run_id,
            batch(COINGECKO, BITCOIN, market("x", "x", ""), cursor={"page": 2}),
        )

    with engine.connect() as conn:
        run = conn.execute(select(runs)).one()
        checkpoint = conn.execute(select(checkpoints)).one()
    assert (run.records_fetched, run.records_new, run.records_rejected) == (2, 1, 1)
    assert checkpoint.cursor == {"page": 2}
    assert checkpoint.run_id == run_id


def test_a_reject_is_stored_as_received_and_counted_when_it_comes_again(engine: Engine):
    refused = market("bitcoin", "btc", "Bitcoin", -1)
    assert load(engine, COINGECKO, refused) == Counts(fetched=1, rejected=1)
    assert load(engine, COINGECKO, refused, refused) == Counts(fetched=2, rejected=2)

    with engine.connect() as conn:
        reject = conn.execute(select(rejects)).one()
    assert reject.payload == refused
    assert reject.reasons == ["current_price: negative: -1"]
    assert reject.external_id == "bitcoin"
    assert reject.times_seen == 3
    assert not verify(engine).findings


def test_an_asset_that_reads_the_same_keeps_its_version(engine: Engine):
    def version() -> int:
        with engine.connect() as conn:
            return conn.scalar(select(assets.c.version))

    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 1, LATER))
    before = version()
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 5, EARLIER))
    assert version() == before

    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 5, "2026-01-02T12:06:00Z"))
    assert version() > before


def test_two_sources_load_the_same_assets_at_once_without_a_deadlock(engine: Engine):
    names = [f"Coin {number}" for number in range(60)]

    def loads(source, payloads) -> None:
        for turn in range(8):
            load(engine, source, *payloads(turn))

    def markets(turn: int) -> list[bytes]:
        at = f"2026-01-02T12:{turn:02}:00Z"
        return [market(f"g{name}", name, name, turn + 1, at) for name in names]

    def tickers(turn: int) -> list[bytes]:
        at = f"2026-01-02T12:{turn:02}:30Z"
        return [ticker(f"p{name}", name, name, turn + 1, at) for name in reversed(names)]

    with ThreadPoolExecutor() as threads:
        both = [
            threads.submit(loads, COINGECKO, markets),
            threads.submit(loads, COINPAPRIKA, tickers),
        ]
    for done in both:
        done.result()

    report = verify(engine)
    assert not report.findings
    assert report.counted["assets"] == 60
    assert report.counted["observations"] == 960


def test_a_second_worker_on_a_source_is_refused_and_told_who_holds_it(database_url: URL):
    engine = writer_engine(database_url, worker_name())
    with locked(engine, "coingecko") as conn:
        run_id = open_run(conn, COINGECKO)

        with (
            pytest.raises(LockedError, match=f"coingecko: locked by worker run {run_id} on host"),
            locked(engine, "coingecko"),
        ):
            pass

        with locked(engine, "coinpaprika"):
            pass
    with locked(engine, "coingecko"):
        pass


def test_listings_of_one_instant_give_the_value_of_the_source_first_by_name(engine: Engine):
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin", 2, NOON))
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 1, NOON))

    assert price(engine) == 1
    with engine.connect() as conn:
        asset = conn.execute(select(assets)).one()
    assert asset.price_spread_percent == 100
    assert asset.source_count == 2


def test_a_value_that_the_newest_listing_lacks_comes_from_another(engine: Engine):
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 1, LATER, market_cap=None))
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin", 2, NOON))

    with engine.connect() as conn:
        asset = conn.execute(select(assets)).one()
        origin = conn.scalar(
            select(listings.c.source).where(listings.c.id == asset.market_cap_usd_listing_id)
        )
    assert (asset.price_usd, asset.market_cap_usd, origin) == (1, 2000, "coinpaprika")
