"""A CSV file that grows: its rows keep one meaning, and close no reject that was not read again."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, select, update

from shared.schema.market import listings, observations
from shared.schema.operations import rejects
from worker.ingest import pipeline
from worker.ingest.runs.options import Options, Result
from worker.maintenance.verify import verify
from worker.sources.csv import CsvFiles
from worker.stopping import StopEvent

HEADER = "symbol;name;date;price_usd"


class Folder:
    """A folder of files that one source reads again and again."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self.engine = engine
        self.path = path

    def append(self, *rows: str, file: str = "prices.csv") -> None:
        path = self.path / file
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as opened:
            opened.writelines(f"{row}\n" for row in rows)

    def declare(self, declared: str) -> None:
        (self.path / "prices.csv.toml").write_text(declared)

    def run(self, path: str = "") -> Result:
        source = CsvFiles(path=str(self.path / path), rows_per_page=5)
        return pipeline.run(self.engine, source, None, Options(5))

    def prices(self) -> list[str]:
        with self.engine.connect() as conn:
            o = observations.c
            stmt = select(o.price_usd).where(o.superseded_at.is_(None)).order_by(o.observed_at)
            return [f"{price.normalize():f}" for price in conn.scalars(stmt)]

    def open_rejects(self) -> list[str]:
        with self.engine.connect() as conn:
            stmt = select(rejects.c.position).where(rejects.c.resolved_at.is_(None))
            return list(conn.scalars(stmt.order_by(rejects.c.id)))

    def sound(self) -> None:
        assert verify(self.engine).findings == ()


@pytest.fixture
def folder(engine: Engine, tmp_path: Path) -> Folder:
    return Folder(engine, tmp_path)


def row(day: int, price: str, symbol: str = "BTC") -> str:
    return f"{symbol};Bitcoin;2024-05-{day:02}T00:00:00Z;{price}"


def test_a_comma_that_is_proven_after_whole_numbers_has_the_file_read_again(folder: Folder):
    folder.append(HEADER, row(1, "46"), row(2, "47"))
    assert folder.run().ending.outcome == "succeeded"

    folder.append(row(3, "46.423,5"))

    assert folder.run().counts.fetched == 3
    assert folder.prices() == ["46", "47", "46423.5"]
    folder.sound()


@pytest.mark.parametrize(
    ("added", "why"),
    [
        ("03/30/2024", "'date' has '29/03/2024' and '03/30/2024'"),
        ("2024-03-30", "rows were read as 'day-first'"),
    ],
)
def test_an_order_of_dates_that_added_rows_contradict_must_be_declared(
    folder: Folder, added: str, why: str
):
    def dated(date: str) -> str:
        return row(1, "46.5").replace("2024-05-01T00:00:00Z", date)

    folder.append(HEADER, dated("03/04/2024"), dated("29/03/2024"))
    assert folder.run().ending.outcome == "succeeded"

    folder.append(dated(added))

    result = folder.run()
    assert (result.ending.reason, result.counts.fetched) == ("undeclared", 0)
    assert why in str(result.ending.error)


def test_a_decimal_comma_that_is_proven_later_holds_for_the_rows_before_it(folder: Folder):
    folder.append(HEADER, row(1, "46.123"), row(2, "46.200"))
    assert folder.run().ending.reason == "undeclared"
    assert folder.prices() == []

    folder.append(row(3, "46.423,5"))
    result = folder.run()

    assert result.ending.outcome == "succeeded"
    assert result.counts.fetched == 3
    assert folder.prices() == ["46123", "46200", "46423.5"]
    folder.append(row(4, "46.500"))
    assert folder.run().counts.fetched == 1
    assert folder.prices() == ["46123", "46200", "46423.5", "46500"]
    folder.sound()


def test_symbols_that_are_trading_pairs_no_more_must_be_declared(folder: Folder):
    folder.append(HEADER, row(1, "46.1", "BTCUSD"), row(2, "46.2", "BTCUSD"))
    assert folder.run().ending.outcome == "succeeded"

    folder.append(row(3, "46.3", "BTC"))
    for _ in range(2):
        result = folder.run()
        assert (result.ending.outcome, result.ending.reason) == ("failed", "undeclared")
        assert "pair_symbols" in str(result.ending.error)
    assert folder.prices() == ["46.1", "46.2"]

    folder.declare("pair_symbols = true")
    assert folder.run().counts.fetched == 3
    with folder.engine.connect() as conn:
        assert set(conn.scalars(select(listings.c.symbol))) == {"BTC"}
    folder.sound()


def test_rows_added_to_a_file_close_no_reject_that_was_not_read_again(folder: Folder):
    folder.append(HEADER, *(row(day, "46.1") for day in range(1, 12)), row(12, "much"))
    folder.append(row(13, "46.2"))
    folder.run()
    with folder.engine.begin() as conn:  # refused by an import under another declaration
        conn.execute(update(rejects).values(declaration="another"))
    assert folder.open_rejects() == ["prices.csv, line 13"]

    folder.append(row(14, "46.3"))
    assert folder.run().counts.fetched == 1

    assert folder.open_rejects() == ["prices.csv, line 13"]


def test_a_file_of_the_same_name_closes_no_reject_of_version_0_1_0(folder: Folder):
    folder.append(HEADER, *(row(day, "46.1") for day in range(1, 12)), row(12, "much"))
    folder.run("prices.csv")
    with folder.engine.begin() as conn:
        conn.execute(update(rejects).values(file=None, declaration=None))

    folder.append(HEADER, row(1, "1.5", "ETH"), file="other/prices.csv")
    assert folder.run("other/prices.csv").ending.outcome == "succeeded"

    assert folder.open_rejects() == ["prices.csv, line 13"]


def test_a_file_read_in_two_runs_closes_what_was_refused_under_another_declaration(folder: Folder):
    folder.append(HEADER, *(row(day, "46.1") for day in range(1, 12)), row(12, "missing"))
    folder.run()
    assert folder.open_rejects() == ["prices.csv, line 13"]

    folder.declare('unknown = ["missing"]')
    source = CsvFiles(path=str(folder.path), rows_per_page=5)
    stop = StopEvent()
    stopped = pipeline.run(
        folder.engine,
        source,
        None,
        Options(5, stop=stop, progress=lambda _: stop.set()),
    )
    assert stopped.ending.reason == "stopped"
    assert folder.open_rejects() == ["prices.csv, line 13"]

    assert folder.run().ending.outcome == "succeeded"

    assert folder.open_rejects() == []


def test_rows_that_differ_stay_reported_until_a_run_reads_rows_again(folder: Folder):
    folder.append(HEADER, *(row(day, "46.1") for day in range(1, 26)), row(1, "99.5"))
    for fetched in (26, 0, 0):
        result = folder.run()
        assert (result.ending.outcome, result.ending.reason) == ("partial", "differing_rows")
        assert result.counts.fetched == fetched
    assert "no new rows since a run found different values" in str(result.ending.error)

    folder.append(row(26, "46.1"))
    assert folder.run().ending.outcome == "succeeded"
