"""Which ids identity leaves aside, after runs in which part of a source's ids are new."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, select
from sqlalchemy.engine import URL

from shared.schema.market import pending_ids
from shared.schema.operations import runs
from tests.fakes.databases import database_copy, engine_on
from tests.fakes.glitches import GlitchyMarket, read_links
from tests.fakes.market import Coin
from tests.fakes.runner import Runner
from tests.fakes.upstream import Upstream
from worker.cli.main import main
from worker.ingest import pipeline
from worker.ingest.runs.options import Options
from worker.maintenance.verify import verify
from worker.sources.csv import CsvFiles

SIZE = 150
ORDER = "id_asc"


class RenamingMarket(GlitchyMarket):
    """CoinGecko has new ids for the coins in `changed`, by their numbers."""

    changed: frozenset[int] = frozenset()

    def market(self, coin: Coin) -> bytes:
        record = super().market(coin)
        if coin.number not in self.changed:
            return record
        document = json.loads(record)
        return json.dumps({**document, "id": f"{document['id']}-new"}).encode()

    def change(self, begin: int, end: int) -> None:
        """Change the ids of the coins at these places of an answer."""
        self.changed = frozenset(coin.number for coin in self.markets(ORDER)[begin:end])
        self.tick()


def read_pending(engine: Engine) -> frozenset[str]:
    with engine.connect() as conn:
        return frozenset(conn.scalars(select(pending_ids.c.external_id)))


class Reader:
    """Reads the market in batches of one size into a database of its own."""

    def __init__(self, engine: Engine, batch_size: int) -> None:
        self.engine = engine
        self.batch_size = batch_size
        self.most_pending = 0

    def run(self, upstream: Upstream, source: str = "coingecko") -> str | None:
        options = {"progress": self._look}
        runner = Runner(self.engine, upstream, source, self.batch_size, options=options)
        return runner.run().ending.reason

    def _look(self, fetched: int) -> None:  # noqa: ARG002
        self.most_pending = max(self.most_pending, len(read_pending(self.engine)))

    def content(self) -> tuple[object, ...]:
        report = verify(self.engine)
        assert report.findings == ()
        return report.fingerprint, read_links(self.engine), read_pending(self.engine)


@pytest.fixture
def market() -> RenamingMarket:
    return RenamingMarket(SIZE)


@pytest.fixture
def upstream(market: RenamingMarket) -> Iterator[Upstream]:
    with Upstream() as upstream:
        upstream.market = market
        yield upstream


@pytest.fixture
def readers(server, maintenance_engine, template_database, engine) -> Iterator[list[Reader]]:
    with (
        database_copy(maintenance_engine, server.url, template_database) as url,
        engine_on(url) as other,
    ):
        yield [Reader(engine, 50), Reader(other, 1000)]


@pytest.mark.slow
def test_nothing_is_pending_after_a_good_run_whatever_the_batches(
    upstream: Upstream, market: RenamingMarket, readers: list[Reader]
):
    for reader in readers:
        assert reader.run(upstream, "coinpaprika") is None
        assert reader.run(upstream) is None
    market.change(0, 60)
    for reader in readers:
        assert reader.run(upstream) is None

    small, large = readers
    assert small.most_pending > 0 == large.most_pending
    assert small.content() == large.content()
    assert read_pending(small.engine) == frozenset()


def test_all_new_ids_are_pending_after_a_run_with_changed_ids_whatever_the_batches(
    upstream: Upstream,
    market: RenamingMarket,
    readers: list[Reader],
    database_url: URL,
    monkeypatch: pytest.MonkeyPatch,
):
    for reader in readers:
        assert reader.run(upstream, "coinpaprika") is None
        assert reader.run(upstream) is None
    before = read_links(readers[0].engine).pairs
    market.change(60, SIZE)
    for reader in readers:
        assert reader.run(upstream) == "ids_changed"

    small, large = readers
    assert small.content() == large.content()
    assert len(read_pending(small.engine)) == SIZE - 60
    after = read_links(small.engine)
    assert after.pairs == before

    monkeypatch.setenv("DATABASE_URL", database_url.render_as_string(hide_password=False))
    review = CliRunner().invoke(main, ["identity", "review"]).output
    assert "coingecko: 90 new ids are pending; " in review
    external_id = min(read_pending(small.engine))
    slug = after.slugs[f"coingecko:{external_id}"]
    shown = CliRunner().invoke(main, ["identity", "show", slug]).output
    assert "pending: in a run of coingecko most ids were new" in shown
    assert "`worker checkpoint clear coingecko`" in shown


def test_pending_ids_count_as_replaced_in_each_run_that_has_them(
    upstream: Upstream, market: RenamingMarket, engine: Engine
):
    upstream.etags = False
    reader = Reader(engine, 50)
    assert reader.run(upstream) is None
    market.change(60, SIZE)
    for _ in range(2):
        assert reader.run(upstream) == "ids_changed"

    with engine.connect() as conn:
        assert conn.scalars(select(runs.c.ids_replaced).order_by(runs.c.id)).all() == [0, 90, 90]


def test_new_ids_of_files_are_never_pending(engine: Engine, tmp_path: Path):
    path = tmp_path / "coins.csv"
    for name in ("old", "new"):
        lines = [f"{name}-{n},C{n},Coin {n},1.5,2026-01-02T12:00:00Z" for n in range(40)]
        path.write_text("\n".join(["id,symbol,name,price_usd,last_updated", *lines, ""]))
        source = CsvFiles(path=str(path), rows_per_page=50)
        assert pipeline.run(engine, source, None, Options(50)).counts.new == 40

    assert read_pending(engine) == frozenset()
    assert verify(engine).findings == ()
