"""How many families of files are known at once: one-off files must not fill the ledger for ever."""

from pathlib import Path

from sqlalchemy import Engine, func, select, text

from shared.schema.operations import drift, shapes
from worker.drift.ledger import MOST_FAMILIES
from worker.ingest import pipeline
from worker.ingest.runs.options import Options
from worker.sources.csv import CsvFiles

OLD_FAMILIES = text("""
INSERT INTO shapes (source, command, family, path, type, records, last_run_records, first_run_id,
                    last_run_id, records_since, records_before, records_until, example)
SELECT source, command, 'old-' || n, path, type, records, last_run_records, 0, -n,
       records_since, records_before, records_until, example
FROM shapes, generate_series(1, :many) AS n
""")
ODD_FILES = text("""
INSERT INTO drift (source, path, kind, detail, first_run_id, last_run_id, records, acknowledged_at)
VALUES ('csv', 'old-1: mood', 'appeared', '{}', 0, 0, 1, now()),
       ('csv', :last || ': mood', 'appeared', '{}', 0, 0, 1, now()),
       ('csv', :last || ': temper', 'appeared', '{}', 0, 0, 1, NULL)
""")


def load(engine: Engine, path: Path) -> None:
    path.write_text("date,symbol,name,price_usd\n2024-05-01,BTC,Bitcoin,1.5\n")
    source = CsvFiles(path="unused", rows_per_page=5)
    result = pipeline.load_saved(engine, source, lambda read: read.saved_pages(path), Options(5))
    assert result.succeeded


def test_of_too_many_families_those_that_were_read_last_stay(engine: Engine, tmp_path: Path):
    load(engine, tmp_path / "first.csv")
    with engine.begin() as conn:
        conn.execute(OLD_FAMILIES, {"many": MOST_FAMILIES})
        conn.execute(ODD_FILES, {"last": f"old-{MOST_FAMILIES}"})

    load(engine, tmp_path / "second.csv")

    with engine.connect() as conn:
        families = set(conn.scalars(select(shapes.c.family)))
        paths = set(conn.scalars(select(drift.c.path)))
        assert conn.scalar(select(func.count(shapes.c.family.distinct()))) == MOST_FAMILIES
    assert {"first.csv", "second.csv"} <= {family.rpartition("/")[2] for family in families}
    assert f"old-{MOST_FAMILIES - 2}" in families
    assert not {f"old-{MOST_FAMILIES - 1}", f"old-{MOST_FAMILIES}"} & families
    assert paths == {"old-1: mood", f"old-{MOST_FAMILIES}: temper"}
