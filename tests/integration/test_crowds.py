"""Of a crowd that shares one symbol, a batch reads what it concerns, and decides the same."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from shared.schema.identity import crowds
from shared.schema.market import listings
from tests.fakes.batches import COINGECKO, COINPAPRIKA, CSV, load, market, row, ticker
from tests.fakes.cases import sparse
from worker.curation.recording import Attribution
from worker.curation.retirements import retire
from worker.identity import decide
from worker.identity.blocks.blocks import read_block
from worker.identity.blocks.crowds import MOST_READ, MOST_WITNESSES, note_crowds
from worker.maintenance.migrate import downgrade, upgrade
from worker.maintenance.reprocess import reprocess
from worker.maintenance.verify import verify

WORDS = ("Pepe", "Red", "Moon", "Cat", "Token", "Swap", "Inu", "v2")
SEEDS = sparse(list(range(12)), 3)
TOUCH = text("INSERT INTO touched_keys VALUES (:symbol_key, :name_key)")


def at(hours: int) -> str:
    moment = datetime(2026, 1, 2, tzinfo=UTC) + timedelta(hours=hours)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.000Z"


def gecko(number: int, name: str, hours: int = 0) -> bytes:
    return market(f"coin-{number}", "pepe", name, at=at(hours))


def read_for(engine: Engine, symbol_key: str, name_key: str) -> tuple[set[str], int]:
    """Say what is decided on if a name is touched, and how many others of the crowd are read."""
    with engine.connect() as conn, conn.begin():
        decide.create_tables(conn)
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


class Crowd:
    """Coins of one symbol whose names share words, as three sources tell of them."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self.engine = engine
        self.dice = Random(seed)
        self.hours = 0

    def begin(self) -> None:
        """Have the symbol be a crowd's from the first listings on."""
        load(self.engine, COINGECKO, gecko(0, "Pepe"), gecko(1, "Red Pepe"))
        self.note()

    def note(self) -> None:
        with self.engine.connect() as conn, conn.begin():
            decide.create_tables(conn)
            conn.execute(TOUCH, {"symbol_key": "pepe", "name_key": "pepe"})
            note_crowds(conn, most=1)

    def load_some(self) -> None:
        """Load a batch of one source: new coins, others, some under another name; some late."""
        self.hours += 1
        say = self.dice.choice((self._market, self._ticker, self._row))
        source, records = say(self.dice.sample(range(30), self.dice.randint(1, 6)))
        load(self.engine, source, *records)

    def retire_one(self) -> None:
        stmt = select(listings.c.external_id).where(
            listings.c.source == "csv", listings.c.delisted_at.is_(None)
        )
        with self.engine.connect() as conn, conn.begin():
            if there := sorted(conn.scalars(stmt)):
                retire(conn, [("csv", self.dice.choice(there))], Attribution("somebody", "is gone"))

    def _name(self) -> str:
        return " ".join(self.dice.sample(WORDS, self.dice.randint(1, 3)))

    def _symbol(self) -> str:
        return self.dice.choice(("PEPE", "PEPE", "PEPE", "PEPE", "RED"))

    def _time(self) -> str:
        return at(self.hours - self.dice.choice((0, 0, 0, 30)))

    def _market(self, numbers: Sequence[int]) -> tuple[object, list[bytes]]:
        return COINGECKO, [
            market(f"coin-{n}", self._symbol(), self._name(), at=self._time()) for n in numbers
        ]

    def _ticker(self, numbers: Sequence[int]) -> tuple[object, list[bytes]]:
        return COINPAPRIKA, [
            ticker(f"pepe-{n}", self._symbol(), self._name(), at=self._time()) for n in numbers
        ]

    def _row(self, numbers: Sequence[int]) -> tuple[object, list[bytes]]:
        return CSV, [row(str(n), self._symbol(), self._name()) for n in numbers]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_crowd_comes_out_as_if_it_was_decided_on_at_once(engine: Engine, seed: int):
    crowd = Crowd(engine, seed)
    crowd.begin()

    for number in range(24):
        crowd.load_some()
        if number % 5 == 4:
            crowd.retire_one()
        if number == 12:
            reprocess(engine, COINGECKO)
            crowd.note()

        found = verify(engine).findings
        assert not found, (number, found)


def test_a_rename_makes_a_delisted_listing_the_only_one_of_its_word_in_a_crowd(engine: Engine):
    """Listings that came after it was delisted do not count, however many have the word."""
    crowd = Crowd(engine, 0)
    crowd.begin()
    load(engine, CSV, row("renamed", "PEPE", "Lemon Cake", at=at(-5)))
    load(engine, CSV, row("gone", "PEPE", "Lemon", at=at(0)))
    load(engine, COINPAPRIKA, ticker("pepe-x", "PEPE", "Lemon Tree", at=at(0)))
    with engine.connect() as conn, conn.begin():
        retire(conn, [("csv", "gone")], Attribution("somebody", "is gone"))
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
