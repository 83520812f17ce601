"""Of a crowd that shares one symbol, a batch reads what it concerns, and decides the same."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from shared.schema.identity import crowds
from shared.schema.market import listings
from tests.fakes.batches import COINGECKO, COINPAPRIKA, CSV, load, market, row, ticker
from tests.fakes.cases import sparse
from tests.fakes.crowd import ANN, TOUCH, Crowd, at, begin, index
from worker.curation.crosswalk import apply_crosswalk
from worker.curation.retirements import retire
from worker.identity import store
from worker.identity.blocks.blocks import read_block
from worker.identity.blocks.crowds import MOST_READ, MOST_WITNESSES
from worker.identity.resolver.evidence import Ref
from worker.maintenance.migrate import downgrade, upgrade
from worker.maintenance.reprocess import reprocess
from worker.maintenance.verify import verify

CASES = sparse([(seed, ids) for seed in range(4) for ids in (4, 12, 30)], 12)
ORDERS = sparse([(seed, ids) for seed in range(2) for ids in (5, 14)], 4)


def gecko(number: int, name: str, hours: int = 0) -> bytes:
    return market(f"coin-{number}", "pepe", name, at=at(hours))


def read_for(engine: Engine, symbol_key: str, name_key: str) -> tuple[set[str], int]:
    """Say what is decided on if a name is touched, and how many others of the crowd are read."""
    with engine.connect() as conn, conn.begin():
        store.create_tables(conn)
        conn.execute(TOUCH, {"symbol_key": symbol_key, "name_key": name_key})
        block = read_block(conn, every=False)
        return {each.external_id for each in block.candidates}, len(block.witnesses)


@pytest.mark.parametrize("size", [2 * MOST_READ, 4 * MOST_READ])
def test_what_is_read_for_a_record_does_not_grow_with_its_crowd(engine: Engine, size: int):
    for first in range(0, size, MOST_READ // 2):
        numbers = range(first, first + MOST_READ // 2)
        load(engine, COINGECKO, *(gecko(n, f"Pepe {'Inu' if n % 2 else n}") for n in numbers))
    load(engine, COINPAPRIKA, ticker("pepe-pepe-8", "PEPE", "Pepe 8"))

    decided, beside = read_for(engine, "pepe", "pepe 8")

    assert decided == {"coin-8", "pepe-pepe-8"}
    assert beside <= 3 * MOST_WITNESSES
    assert not verify(engine).findings


@pytest.mark.parametrize(("seed", "ids"), CASES)
def test_batches_of_a_crowd_decide_as_all_at_once(
    engine: Engine, tmp_path: Path, seed: int, ids: int
):
    crowd = Crowd(seed, ids)
    begin(engine)

    for number in range(24):
        crowd.change(engine, tmp_path)
        if number == 12:
            reprocess(engine, COINGECKO)
            index(engine)

        found = verify(engine).findings
        assert not found, (number, found)


@pytest.mark.parametrize(("seed", "ids"), ORDERS)
def test_a_crowd_is_the_same_in_any_order_and_when_rebuilt(
    engine: Engine, empty_database_url: URL, seed: int, ids: int
):
    crowd = Crowd(seed, ids)
    batches = [crowd.draw_batch() for _ in range(20)]
    records = [(source, payload) for source, payloads in batches for payload in payloads]
    crowd.dice.shuffle(records)
    lines = crowd.draw_crosswalk()
    retired = [("csv", str(number)) for number in range(0, ids, 3)]

    begin(engine)
    for source, payloads in batches:
        load(engine, source, *payloads)
    decide_finally(engine, lines, retired)
    upgrade(empty_database_url)
    other = create_engine(empty_database_url, poolclass=NullPool)
    begin(other)
    for source, payload in records:
        load(other, source, payload)
    decide_finally(other, lines, retired)

    found = verify(engine)
    assert found.findings == ()
    assert verify(other).fingerprint == found.fingerprint
    for source in (COINGECKO, COINPAPRIKA, CSV):
        reprocess(other, source)
        index(other)
    assert verify(other).fingerprint == found.fingerprint
    other.dispose()


def decide_finally(engine: Engine, lines: dict[Ref, str], retired: list[Ref]) -> None:
    with engine.connect() as conn, conn.begin():
        apply_crosswalk(conn, lines)
    with engine.connect() as conn, conn.begin():
        stmt = select(listings.c.source, listings.c.external_id)
        existing = {tuple(each) for each in conn.execute(stmt)}
        if found := [ref for ref in retired if ref in existing]:
            retire(conn, found, ANN)


def test_a_rename_makes_a_delisted_listing_the_only_one_of_its_word_in_a_crowd(engine: Engine):
    """Listings that came after it was delisted do not count, however many have the word."""
    begin(engine)
    load(engine, CSV, row("renamed", "PEPE", "Lemon Cake", at=at(-5)))
    load(engine, CSV, row("gone", "PEPE", "Lemon", at=at(0)))
    load(engine, COINPAPRIKA, ticker("pepe-x", "PEPE", "Lemon Tree", at=at(0)))
    with engine.connect() as conn, conn.begin():
        retire(conn, [("csv", "gone")], ANN)
    for number in range(4):
        load(engine, CSV, row(f"new-{number}", "PEPE", f"Lemon {number}x", at=at(9 + number)))
    assert not verify(engine).findings

    load(engine, CSV, row("renamed", "PEPE", "Other", at=at(20)))

    assert not verify(engine).findings


def test_a_symbol_of_few_listings_is_no_crowd(engine: Engine):
    load(engine, COINGECKO, *(gecko(number, f"Name{number}") for number in range(MOST_READ)))

    with engine.connect() as conn:
        assert conn.scalars(select(crowds.c.symbol_key)).all() == []


def test_a_crowd_of_before_the_migration_is_found_when_it_is_touched(empty_database_url: URL):
    upgrade(empty_database_url)
    engine = create_engine(empty_database_url, poolclass=NullPool)
    load(engine, COINGECKO, *(gecko(number, f"Name{number}") for number in range(MOST_READ + 2)))
    before = verify(engine)
    downgrade(empty_database_url, "0012")
    upgrade(empty_database_url)
    assert verify(engine) == before

    load(engine, COINPAPRIKA, ticker("pepe-name8", "PEPE", "Name8"))

    with engine.connect() as conn:
        assert set(conn.scalars(select(crowds.c.side))) == {"coingecko", "coinpaprika"}
        linked = select(listings.c.asset_id).where(listings.c.name == "Name8").distinct()
        assert len(conn.scalars(linked).all()) == 1
    assert verify(engine).findings == ()
    engine.dispose()
