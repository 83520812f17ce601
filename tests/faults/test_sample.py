"""The sample of 2021: shown until a provider has been read, and never beside live data."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, update
from sqlalchemy.engine import URL

from shared.environment import SAMPLE_CSV
from shared.schema.market import assets, listings, observations, retirements
from shared.schema.operations import runs
from shared.settings import Settings
from tests.fakes.answers import status
from tests.fakes.processes import environ
from tests.fakes.upstream import Upstream
from worker.app import Worker
from worker.curation import retirements as decisions
from worker.curation import sample
from worker.curation.recording import Attribution
from worker.ingest import loop
from worker.maintenance.reprocess import reprocess
from worker.maintenance.verify import verify
from worker.sources import REGISTRY

Starter = Callable[..., Worker]

OWN_FILE = """id,symbol,name,price_usd,last_updated
bitcoin,BTC,Bitcoin,70000,2026-01-05T00:00:00Z
"""


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(assets=20) as upstream:
        yield upstream


@pytest.fixture
def start(database_url: URL, upstream: Upstream) -> Starter:
    """Put workers together on the test's database, each with settings of its own."""

    def worker(**settings: object) -> Worker:
        chosen = {"SOURCES": "csv,coingecko", **settings}
        return Worker(Settings.from_env(environ(database_url, upstream, **chosen)), database_url)

    return worker


def make_pass(worker: Worker) -> dict[str, tuple[str, int]]:
    """Make one pass of the loop; return each run's outcome and how many records it fetched."""
    worker.update_sample()
    done = loop.run_once(worker.settings.sources, worker.run_in_loop, worker.stop)
    return {each.source: (each.ending.outcome, each.counts.fetched) for each in done.results}


def count(engine: Engine, *conditions: object) -> int:
    with engine.connect() as conn:
        stmt = select(func.count()).select_from(listings).where(*conditions)
        return conn.scalar(stmt.where(listings.c.source == "csv")) or 0


ACTIVE = listings.c.delisted_at.is_(None)


def assert_sound(engine: Engine) -> None:
    """Check that nothing is damaged, and that a rebuild comes to the same."""
    before = verify(engine)
    assert before.findings == ()
    for name in ("csv", "coingecko"):
        reprocess(engine, REGISTRY[name].from_settings(Settings.from_env({})))
    assert verify(engine) == before, "a rebuild comes to something else"


def test_it_is_shown_while_no_provider_could_be_read(
    engine: Engine, upstream: Upstream, start: Starter
):
    upstream.always(status(403))

    for fetched in (100, 0):
        made = make_pass(start())
        assert made == {"csv": ("succeeded", fetched), "coingecko": ("failed", 0)}

    assert count(engine, ACTIVE) == 100


def test_it_is_retired_with_the_first_good_run_of_a_provider(engine: Engine, start: Starter):
    worker = start()

    made = make_pass(worker)

    assert made == {"csv": ("succeeded", 100), "coingecko": ("succeeded", 20)}
    assert count(engine) == 100
    assert count(engine, ACTIVE) == 0
    with engine.connect() as conn:
        shown = conn.execute(select(assets).where(assets.c.active)).all()
        only_sample = conn.execute(select(assets).where(~assets.c.active)).all()
        kept = conn.scalar(select(func.count()).select_from(observations))
    assert {tuple(row.sources) for row in shown} == {("coingecko",)}
    assert {row.price_usd for row in only_sample} == {None}
    assert kept == 120
    assert_sound(engine)

    again = make_pass(worker)
    assert again == {"csv": ("succeeded", 0), "coingecko": ("succeeded", 0)}
    with engine.connect() as conn:
        assert conn.scalar(select(func.count()).select_from(retirements)) == 100


def test_it_is_not_loaded_where_a_provider_was_read_before(engine: Engine, start: Starter):
    make_pass(start(SOURCES="coingecko"))

    made = make_pass(start())

    assert made["csv"] == ("succeeded", 0)
    assert count(engine) == 0


def test_a_worker_that_was_killed_before_it_retired_the_sample_does_so_at_its_next_pass(
    engine: Engine, start: Starter
):
    worker = start()
    worker.run("csv")
    worker.run("coingecko")
    assert count(engine, ACTIVE) == 100

    start().update_sample()

    assert count(engine, ACTIVE) == 0


@pytest.mark.slow
def test_it_stays_if_csv_path_names_it_and_returns_if_it_is_named_later(
    engine: Engine, start: Starter
):
    chosen = {"CSV_PATH": str(SAMPLE_CSV)}
    make_pass(start(**chosen))
    make_pass(start(**chosen))
    assert count(engine, ACTIVE) == 100

    make_pass(start())
    assert count(engine, ACTIVE) == 0

    make_pass(start(CSV_PATH=str(SAMPLE_CSV.parent / "sam*.csv")))
    assert count(engine, ACTIVE) == 100
    assert_sound(engine)

    make_pass(start())
    assert count(engine, ACTIVE) == 0


@pytest.mark.slow
def test_a_listing_with_newer_records_of_another_file_returns(
    engine: Engine, start: Starter, tmp_path: Path
):
    make_pass(start())
    (tmp_path / "own.csv").write_text(OWN_FILE)
    worker = start(CSV_PATH=str(tmp_path))

    make_pass(worker)

    assert count(engine, ACTIVE) == 1
    assert count(engine, ACTIVE, listings.c.external_id == "bitcoin") == 1
    assert_sound(engine)


def test_files_that_cannot_be_listed_change_nothing_and_stop_no_other_source(
    engine: Engine, start: Starter
):
    make_pass(start(SOURCES="csv"))

    made = make_pass(start(CSV_PATH="x" * 5000))

    assert made == {"csv": ("failed", 0), "coingecko": ("succeeded", 20)}
    assert count(engine, ACTIVE) == 100


def test_a_retirement_that_a_person_revoked_stays_revoked(engine: Engine, start: Starter):
    make_pass(start())
    with engine.begin() as conn:
        number = conn.scalar(select(func.min(retirements.c.id)))
        decisions.undo(conn, number, Attribution("ada", "the sample is what I compare with"))
    assert count(engine, ACTIVE) == 100

    make_pass(start())

    assert count(engine, ACTIVE) == 100


@pytest.mark.parametrize(
    "changes", [{"command": "import"}, {"outcome": "partial"}, {"source": "coingecko_coins"}]
)
def test_neither_an_import_nor_a_bad_run_nor_a_list_of_contracts_ends_it(
    engine: Engine, start: Starter, changes: dict[str, str]
):
    worker = start()
    worker.run("coingecko")
    with engine.begin() as conn:
        assert sample.is_over(conn)
        conn.execute(update(runs).values(**changes))

        assert not sample.is_over(conn)
