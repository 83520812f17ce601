"""A person who imports CSV files, or has a folder of them read."""

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Row, select

from shared.schema.operations import drift, rejects
from worker.ingest import pipeline
from worker.ingest.runs.options import Options, Result
from worker.sources.base import Source
from worker.sources.csv import CsvFiles

HEADER = "date,symbol,name,price_usd,market_cap_usd,mood"
DAYS = range(1, 13)


class Desk:
    """A person who imports files into one database, or has a folder of them read."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder

    def write(self, *rows: str, file: str = "prices.csv", declared: str = "") -> None:
        path = self.folder / file
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join([*rows, ""]))
        path.with_name(f"{path.name}.toml").write_text(declared)

    def load(self, *files: str, batch_size: int = 5) -> Result:
        source = CsvFiles(path="unused", rows_per_page=batch_size)

        def pages(source: Source) -> Any:
            for file in files or ["prices.csv"]:
                yield from source.saved_pages(self.folder / file)

        return pipeline.load_saved(self.engine, source, pages, Options(batch_size))

    def run(self) -> Result:
        source = CsvFiles(path=str(self.folder), rows_per_page=5)
        return pipeline.run(self.engine, source, None, Options(5))

    def open_rejects(self) -> list[str]:
        return [row.position for row in self._rejects() if row.resolved_at is None]

    def count_rejects(self) -> int:
        return len(self._rejects())

    def _rejects(self) -> list[Row]:
        with self.engine.connect() as conn:
            return list(conn.execute(select(rejects).order_by(rejects.c.id)))

    def drifted(self) -> list[tuple[str, str]]:
        with self.engine.connect() as conn:
            stmt = select(drift.c.path, drift.c.kind).order_by(drift.c.path, drift.c.kind)
            return [(row.path, row.kind) for row in conn.execute(stmt)]

    def values(self, column: Any) -> list[str]:
        with self.engine.connect() as conn:
            return [str(value) for value in conn.scalars(select(column).order_by(column))]


def days(price: str = "{}.5", cap: str = "7") -> list[str]:
    return [f"2024-05-{day:02},BTC,Bitcoin,{price.format(day)},{cap},calm" for day in DAYS]
