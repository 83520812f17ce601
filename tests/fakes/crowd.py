"""A crowd: coins of one symbol whose names share words, and random changes to it."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from sqlalchemy import Connection, Engine, delete, insert, select, text

from shared.schema.identity import corrections
from shared.schema.market import listings, pending_ids, retirements
from tests.fakes import contract_lists
from tests.fakes.batches import COINGECKO, COINPAPRIKA, CSV, load, market, row, ticker
from worker.curation import corrections as curation
from worker.curation.crosswalk import apply_crosswalk
from worker.curation.recording import Attribution, CorrectionError
from worker.curation.retirements import retire
from worker.database.locks import lock_identity
from worker.identity import store
from worker.identity.blocks.crowds import index_crowds
from worker.identity.resolver.evidence import Ref
from worker.ingest.batch.apply_decisions import decide_listings
from worker.sources.base import Source

ANN = Attribution("ann", "she knows")
WORDS = ("Pepe", "Red", "Moon", "Cat", "Token", "Swap", "Inu", "v2")
SYMBOLS = ("PEPE", "PEPE", "PEPE", "PEPE", "RED")
PREFIXES = {"coingecko": "coin-", "coinpaprika": "pepe-", "csv": ""}
TOUCH = text("INSERT INTO touched_keys VALUES (:symbol_key, :name_key)")


def at(hours: int, seconds: int = 0) -> str:
    moment = datetime(2026, 1, 2, tzinfo=UTC) + timedelta(hours=hours, seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.000Z"


def begin(engine: Engine) -> None:
    """Load two listings of the symbol, and index it as a crowd from then on."""
    load(engine, COINGECKO, market("coin-a", "pepe", "Pepe"), market("coin-b", "pepe", "Red Pepe"))
    index(engine)


def index(engine: Engine) -> None:
    """Index the symbol as a crowd, however few listings have it."""
    with engine.connect() as conn, conn.begin():
        store.create_tables(conn)
        conn.execute(TOUCH, {"symbol_key": "pepe", "name_key": "pepe"})
        index_crowds(conn, most=1)


class Crowd:
    """Draws records of three sources and decisions of people."""

    def __init__(self, seed: int, ids: int) -> None:
        self.dice = Random(seed)
        self.ids = ids
        self.hours = self.records = 0

    def draw_batch(self) -> tuple[Source, list[bytes]]:
        """Draw records of one source: new listings, and some renamed, late or with other values."""
        self.hours += 1
        source = self.dice.choice((COINGECKO, COINPAPRIKA, CSV))
        numbers = self.dice.sample(range(self.ids), self.dice.randint(1, min(6, self.ids)))
        return source, [self._record(source, number) for number in numbers]

    def _record(self, source: Source, number: int) -> bytes:
        self.records += 1
        symbol = self.dice.choice(SYMBOLS)
        name = " ".join(self.dice.sample(WORDS, self.dice.randint(1, 3)))
        price = self.dice.choice(("1", "1", "1.05", "7"))
        # No two in the same second: of one instant the record received last counts.
        moment = at(self.hours - self.dice.choice((0, 0, 0, 30)), seconds=self.records)
        external_id = f"{PREFIXES[source.name]}{number}"
        if source is COINGECKO:
            supply = self.dice.choice((100, 100, 18741512))
            return market(external_id, symbol, name, price, at=moment, circulating_supply=supply)
        if source is COINPAPRIKA:
            return ticker(external_id, symbol, name, price, at=moment)
        namespace = self.dice.choice(("", "", "b:"))
        return row(f"{namespace}{external_id}", symbol, name, price, at=moment)

    def change(self, engine: Engine, folder: Path) -> None:
        """Load a batch, or decide something."""
        change = self.dice.choice(
            [self._load] * 8
            + [self._retire, self._correct, self._correct, self._undo, self._write_crosswalk]
            + [self._hold]
        )
        if self.dice.random() < 0.05:
            self._claim_contracts(engine, folder)
        else:
            change(engine)

    def _load(self, engine: Engine) -> None:
        source, records = self.draw_batch()
        load(engine, source, *records)

    def _retire(self, engine: Engine) -> None:
        stmt = select(listings.c.source, listings.c.external_id).where(
            listings.c.source == "csv", listings.c.delisted_at.is_(None)
        )
        with engine.connect() as conn, conn.begin():
            if ref := self._choose(conn, stmt):
                retire(conn, [ref], ANN)

    def _correct(self, engine: Engine) -> None:
        with engine.connect() as conn, suppress(CorrectionError), conn.begin():
            stmt = select(listings.c.source, listings.c.external_id)
            one, other = self._choose(conn, stmt), self._choose(conn, stmt)
            if self.dice.random() < 0.5:
                curation.split(conn, one, other, ANN)
            else:
                curation.link(conn, one, _slug_of(conn, other), ANN)

    def _undo(self, engine: Engine) -> None:
        with engine.connect() as conn, suppress(CorrectionError), conn.begin():
            numbers = [
                number
                for table in (corrections, retirements)
                for number in conn.scalars(select(table.c.id).where(table.c.revoked_at.is_(None)))
            ]
            if numbers:
                curation.undo(conn, self.dice.choice(sorted(numbers)), ANN)

    def _write_crosswalk(self, engine: Engine) -> None:
        with engine.connect() as conn, conn.begin():
            apply_crosswalk(conn, self.draw_crosswalk())

    def draw_crosswalk(self) -> dict[Ref, str]:
        lines = {}
        for _ in range(self.dice.randint(0, 4)):
            source = self.dice.choice(sorted(PREFIXES))
            ref = source, f"{PREFIXES[source]}{self.dice.randrange(self.ids)}"
            lines[ref] = self.dice.choice(("red-pepe", "moon-cat"))
        return lines

    def _hold(self, engine: Engine) -> None:
        """Hold an id as pending, or release one that is."""
        with engine.connect() as conn, conn.begin():
            lock_identity(conn)
            p = pending_ids.c
            held = conn.execute(select(p.source, p.external_id).order_by(p.source, p.external_id))
            refs = [tuple(each) for each in held]
            if refs:
                ref = self.dice.choice(refs)
                conn.execute(delete(pending_ids).where(p.source == ref[0], p.external_id == ref[1]))
            else:
                ref = self._choose(conn, select(listings.c.source, listings.c.external_id))
                conn.execute(insert(pending_ids).values(source=ref[0], external_id=ref[1]))
            decide_listings(conn, [ref])

    def _claim_contracts(self, engine: Engine, folder: Path) -> None:
        records = [
            contract_lists.coin(f"coin-{number}", ethereum=f"0x{self.dice.choice('12'):0>40}")
            for number in self.dice.sample(range(self.ids), 2)
        ]
        day = 2 + self.hours // 24
        contract_lists.load(engine, folder, "coingecko_coins", records, day)

    def _choose(self, conn: Connection, stmt) -> Ref | None:
        rows = conn.execute(stmt.order_by("source", "external_id")).all()
        return tuple(self.dice.choice(rows)) if rows else None


def _slug_of(conn: Connection, ref: Ref) -> str:
    stmt = text(
        "SELECT slug FROM assets JOIN listings ON listings.asset_id = assets.id"
        " WHERE listings.source = :source AND external_id = :external_id"
    )
    return conn.scalars(stmt, {"source": ref[0], "external_id": ref[1]}).one()
