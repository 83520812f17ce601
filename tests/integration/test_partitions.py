import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, Engine, inspect, select, text
from sqlalchemy.engine import URL

from shared.schema.base import BY_TIME, READER_ROLE, metadata
from shared.schema.market import observations
from shared.schema.raw import RAW
from tests.fakes.batches import COINGECKO, CSV, NOON, load, market
from tests.fakes.databases import engine_on
from worker.database.partitions import create_partitions
from worker.database.periods import periods_of
from worker.ingest.batch.reread_raw import ROWS_AT_ONCE
from worker.maintenance.migrate import downgrade, upgrade
from worker.maintenance.prune.records import read_records
from worker.maintenance.verify import verify

MAY = datetime(2026, 5, 17, tzinfo=UTC)
TABLES = [*(table.name for table in RAW.values()), observations.name]
DISTRIBUTED_BY = {
    **{table.name: "external_id" for table in RAW.values()},
    "observations": "listing_id",
}


def bitcoin(at: str, price: int = 1) -> bytes:
    return market("bitcoin", "btc", "Bitcoin", price, at=at)


def partitions(engine: Engine, table: str) -> set[str]:
    stmt = text(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = CAST(:t AS regclass)"
    )
    with engine.connect() as conn:
        return set(conn.scalars(stmt, {"t": table}))


def placed(engine: Engine, table: str) -> dict[str, int]:
    """Count the rows of each partition of a table that has some."""
    stmt = text(f"SELECT tableoid::regclass::text, count(*) FROM {table} GROUP BY 1")
    with engine.connect() as conn:
        return dict(conn.execute(stmt).all())


def test_the_large_tables_are_partitioned_as_the_tables_say(engine: Engine):
    with engine.connect() as conn:
        found = dict(
            conn.execute(
                text(
                    "SELECT partrelid::regclass::text, pg_get_partkeydef(partrelid) "
                    "FROM pg_partitioned_table"
                )
            ).all()
        )

    said = {
        table.name: table.dialect_options["postgresql"]["partition_by"]
        for table in metadata.tables.values()
        if table.dialect_options["postgresql"]["partition_by"]
    }
    assert found == said == dict.fromkeys(TABLES, BY_TIME)


@pytest.mark.parametrize("table", DISTRIBUTED_BY)
def test_every_unique_key_holds_what_the_table_is_distributed_by(engine: Engine, table: str):
    load(engine, COINGECKO, bitcoin("2020-01-01T00:00:00Z"))
    load(engine, COINGECKO, bitcoin("2026-05-01T00:00:00Z"))
    keys = text("""
        SELECT array_agg(a.attname::text)
        FROM pg_index AS i
        JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
        WHERE i.indisunique
          AND i.indrelid IN (SELECT relid FROM pg_partition_tree(CAST(:t AS regclass)))
        GROUP BY i.indexrelid
    """)
    with engine.connect() as conn:
        found = list(conn.scalars(keys, {"t": table}))

    assert len(found) == 1 + len(partitions(engine, table))
    assert all({DISTRIBUTED_BY[table], "observed_at"} <= set(key) for key in found)


def test_records_of_any_time_find_a_partition(engine: Engine):
    at = [
        "2010-07-18T00:00:00Z",
        "2013-04-28T00:00:00Z",
        "2025-12-31T23:59:59Z",
        "2026-06-01T00:00:00Z",
    ]

    counts = load(engine, COINGECKO, *map(bitcoin, at))

    assert counts.new == len(at)
    for table in ("raw_coingecko", "observations"):
        assert placed(engine, table) == {
            f"{table}_{suffix}": 1 for suffix in ("before_2013", "2013", "2025", "2026_06")
        }
    assert load(engine, COINGECKO, *map(bitcoin, at)).unchanged == len(at)
    assert not verify(engine, [COINGECKO]).findings


def test_a_partition_is_made_like_its_table(engine: Engine):
    load(engine, COINGECKO, bitcoin("2026-05-17T00:00:00Z"))

    with engine.connect() as conn:
        made, migrated = (
            {
                (
                    index["column_names"][0],
                    index.get("unique"),
                    index["dialect_options"].get("postgresql_using"),
                )
                for index in inspect(conn).get_indexes(name)
            }
            for name in ("observations_2026_05", f"observations_{datetime.now(UTC):%Y_%m}")
        )
    assert made == migrated == {("run_id", False, "brin")}


@pytest.fixture
def reading_and_writing(engine: Engine) -> Iterator[tuple[Connection, Connection]]:
    """A reader and another source's writer, each in the middle of a transaction."""
    load(engine, COINGECKO, bitcoin(NOON))
    with engine.connect() as reader, engine.connect() as writer:
        reader.execute(select(observations)).all()
        reader.execute(select(RAW["coingecko"])).all()
        for table in (RAW["csv"], observations):
            copy = text(f"INSERT INTO {table.name} SELECT * FROM {table.name} WHERE false")
            writer.execute(copy)
        yield reader, writer


def test_a_partition_is_made_beside_readers_and_writers(
    engine: Engine, reading_and_writing: tuple[Connection, Connection]
):
    reader, writer = reading_and_writing
    with engine.connect() as conn:
        conn.execute(text("SET lock_timeout = '1s'"))
        conn.commit()

        create_partitions(conn, "coingecko", periods_of([MAY]))

    assert "observations_2026_05" in partitions(engine, "observations")
    assert len(reader.execute(select(observations)).all()) == 1
    insert = observations.insert().values(
        listing_id=1, run_id=1, observed_at=MAY, payload_hash=b"1", ingested_at=MAY
    )
    writer.execute(insert)
    writer.commit()
    reader.commit()
    assert len(reader.execute(select(observations)).all()) == 2


def test_readers_and_writers_start_while_a_partition_is_being_made(engine: Engine):
    load(engine, COINGECKO, bitcoin(NOON))
    seen: list[int] = []

    def meanwhile(point: str) -> None:
        assert point == "before_attach"
        with engine.connect() as other:
            other.execute(text("SET lock_timeout = '1s'"))
            seen.append(len(other.execute(select(observations)).all()))
            other.execute(text("UPDATE observations SET run_id = run_id"))
            other.commit()

    with engine.connect() as conn:
        create_partitions(conn, "coingecko", periods_of([MAY]), meanwhile)

    assert seen == [1, 1]  # for either table


def test_sources_that_need_the_same_partition_at_once_both_get_it(engine: Engine):
    months = [datetime(2030, month, 1, tzinfo=UTC) for month in range(1, 13)]
    ready, failed = threading.Barrier(3), []

    def create(source: str) -> None:
        with engine.connect() as conn:
            ready.wait()
            try:
                create_partitions(conn, source, periods_of(months))
            except Exception as exc:  # noqa: BLE001
                failed.append(exc)

    threads = [threading.Thread(target=create, args=(source,)) for source in RAW]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failed
    for table in TABLES:
        assert {f"{table}_2030_{month:02}" for month in range(1, 13)} <= partitions(engine, table)


def test_the_reader_sees_what_is_in_new_partitions(engine: Engine, reader_url: URL):
    load(engine, COINGECKO, bitcoin("2026-05-17T00:00:00Z"))

    with engine_on(reader_url) as reader, reader.connect() as conn:
        assert conn.scalar(text("SELECT pg_has_role(:role, 'MEMBER')"), {"role": READER_ROLE})
        for table in ("observations", "raw_coingecko"):
            assert conn.scalar(text(f"SELECT count(*) FROM {table}")) == 1


@pytest.mark.slow
def test_migrating_carries_every_row_over_and_back(engine: Engine, database_url: URL):
    at = ["2010-07-18T00:00:00Z", "2017-01-01T00:00:00Z", "2026-01-31T23:59:59.999999Z", NOON]
    load(engine, COINGECKO, *map(bitcoin, at))
    row = {
        "id": "bitcoin",
        "symbol": "btc",
        "name": "Bitcoin",
        "price_usd": "1",
        "last_updated": NOON,
    }
    load(engine, CSV, json.dumps({"row": row}).encode())
    before = verify(engine, [COINGECKO, CSV])
    where = {table: placed(engine, table) for table in TABLES}
    assert not before.findings

    downgrade(database_url, "0004")
    assert placed(engine, "raw_coingecko") == {"raw_coingecko": 4}
    assert placed(engine, "observations") == {"observations": 5}

    upgrade(database_url)
    assert verify(engine, [COINGECKO, CSV]) == before
    assert {table: placed(engine, table) for table in TABLES} == where
    assert load(engine, COINGECKO, *map(bitcoin, at)).unchanged == len(at)


ADD_MANY = text("""
INSERT INTO raw_coingecko (observed_at, external_id, payload_hash, run_id, payload)
SELECT '2019-07-01T12:00:00Z', 'coin-' || n, '', 1, '{}' FROM generate_series(1, :many) AS n
""")


def test_a_partition_is_read_some_records_at_a_time_and_then_its_transaction_ends(engine: Engine):
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 1, "2019-07-01T12:00:00Z"))
    with engine.begin() as conn:
        conn.execute(ADD_MANY, {"many": ROWS_AT_ONCE})

    with engine.connect() as conn:
        parts = [len(part) for part in read_records(conn, "coingecko", "raw_coingecko_2019")]
        assert parts == [ROWS_AT_ONCE, 1]
        assert not conn.in_transaction()
