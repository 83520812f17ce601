"""Who retired the sample's listings, and who took that back; and the commands that settle it."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, func, select, text
from sqlalchemy.engine import URL

from shared.environment import SAMPLE_CSV
from shared.schema.market import listings, retirements
from shared.settings import Settings
from tests.fakes.processes import environ
from tests.fakes.upstream import Upstream
from worker.app import Worker
from worker.cli.main import main
from worker.curation import retirements as decisions
from worker.curation.recording import Attribution
from worker.database.locks import lock_identity
from worker.maintenance.verify import verify

ADA = Attribution("ada", "the sample is what I compare with")
OWN_FILE = """id,symbol,name,price_usd,last_updated
bitcoin,BTC,Bitcoin,70000,2026-01-05T00:00:00Z
"""


class Machine:
    """Runs the commands of a worker, and tells which of the sample's listings are active."""

    def __init__(self, engine: Engine, url: URL, upstream: Upstream) -> None:
        self.engine = engine
        self.url = url
        self.upstream = upstream

    def env(self, **settings: object) -> dict[str, str]:
        return environ(self.url, self.upstream, **{"SOURCES": "csv,coingecko", **settings})

    def command(self, *args: str, **settings: object) -> None:
        env = {"CSV_PATH": None, **self.env(**settings)}
        done = CliRunner(env=env).invoke(main, args, catch_exceptions=False)
        assert done.exit_code == 0, done.output

    def settle(self, **settings: object) -> None:
        Worker(Settings.from_env(self.env(**settings)), self.url).update_sample()

    def active(self) -> set[str]:
        with self.engine.connect() as conn:
            stmt = select(listings.c.external_id).where(listings.c.source == "csv")
            return set(conn.scalars(stmt.where(listings.c.delisted_at.is_(None))))

    def count(self, *conditions: object) -> int:
        with self.engine.connect() as conn:
            stmt = select(func.count()).select_from(retirements)
            return conn.scalar(stmt.where(*conditions)) or 0


@pytest.fixture
def machine(engine: Engine, database_url: URL) -> Iterator[Machine]:
    with Upstream(assets=20) as upstream:
        yield Machine(engine, database_url, upstream)
    assert verify(engine).findings == ()


def wait_for_the_lock(engine: Engine) -> None:
    """Wait until a session waits for an advisory lock."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    deadline = time.monotonic() + 60
    with engine.connect() as conn:
        while not conn.scalar(waiting):
            assert time.monotonic() < deadline, "nothing came to wait for the lock"
            time.sleep(0.05)


STANDS = retirements.c.revoked_at.is_(None)


def test_one_pass_retires_it_and_an_import_brings_back_what_it_names(
    machine: Machine, tmp_path: Path
):
    machine.command("run", "--once")
    assert machine.active() == set()

    own = tmp_path / "own.csv"
    own.write_text(OWN_FILE)
    machine.command("import", "csv", str(own))

    assert machine.active() == {"bitcoin"}


def test_retirements_that_the_worker_revokes_stay_in_the_history(machine: Machine):
    machine.command("run", "--once")
    assert machine.count(STANDS) == 100

    machine.settle(CSV_PATH=SAMPLE_CSV)
    assert len(machine.active()) == 100
    assert (machine.count(STANDS), machine.count()) == (0, 100)

    machine.settle()
    assert machine.active() == set()
    assert (machine.count(STANDS), machine.count()) == (100, 200)

    machine.settle()
    assert machine.count() == 200


@pytest.mark.slow
def test_a_retirement_revoked_by_the_worker_and_then_a_person_stays_revoked(machine: Machine):
    machine.command("run", "--once")
    machine.settle(CSV_PATH=SAMPLE_CSV)
    machine.settle()
    with machine.engine.begin() as conn:
        number = conn.scalar(select(func.max(retirements.c.id)))
        decisions.undo(conn, number, ADA)
    assert len(machine.active()) == 100

    machine.settle()

    assert len(machine.active()) == 100


def test_a_listing_that_a_person_retires_concurrently_is_not_touched(machine: Machine):
    worker = Worker(Settings.from_env(machine.env()), machine.url)
    worker.run("csv")
    worker.run("coingecko")
    failed: list[BaseException] = []

    def settle() -> None:
        try:
            worker.update_sample()
        except BaseException as exc:  # noqa: BLE001 -- the test reports it
            failed.append(exc)

    thread = threading.Thread(target=settle)
    with machine.engine.begin() as conn:
        lock_identity(conn)
        thread.start()
        wait_for_the_lock(machine.engine)
        decisions.retire(conn, [("csv", "bitcoin")], ADA)
    thread.join(60)

    assert failed == []
    assert machine.active() == set()
    assert machine.count(retirements.c.decided_by == ADA.by) == 1
    assert machine.count() == 100
