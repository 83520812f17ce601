"""Sources whose runs are told what they read, and the ledger of their drift."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row, select

from shared.model.records import Page
from shared.schema.operations import drift
from tests.fakes.batches import market, ticker
from worker.ingest import pipeline
from worker.ingest.runs.options import Options, Result
from worker.sources.base import Source
from worker.sources.coingecko import Coingecko
from worker.sources.coinpaprika import Coinpaprika
from worker.sources.json.records import split_records

COINS = 20

Documents = list[dict[str, Any]]


def markets(minute: int = 0, **fields: Any) -> Documents:
    """CoinGecko's coins at one moment, with further fields; a function is told the number."""
    return [
        json.loads(market(f"coin-{n}", f"c{n}", f"Coin {n}", n, at=at(minute)))
        | {key: value(n) if callable(value) else value for key, value in fields.items()}
        for n in range(1, COINS + 1)
    ]


def tickers(minute: int = 0, **fields: Any) -> Documents:
    """CoinPaprika's coins at one moment, with further fields."""
    return [
        json.loads(ticker(f"c{n}-coin", f"C{n}", f"Coin {n}", n, at=at(minute))) | fields
        for n in range(1, COINS + 1)
    ]


def at(minute: int) -> str:
    return f"2026-01-02T12:{minute:02}:00.000Z"


def without(documents: Documents, name: str) -> Documents:
    return [{key: each[key] for key in each if key != name} for each in documents]


class Saying(Source):
    """A source whose runs are told what they read."""

    says: Documents

    def pages(self, *_: object) -> Iterator[Page]:
        yield page(self, self.says)


@dataclass(frozen=True, kw_only=True)
class SayingCoingecko(Saying, Coingecko):
    says: Documents


@dataclass(frozen=True, kw_only=True)
class SayingCoinpaprika(Saying, Coinpaprika):
    says: Documents


def page(source: Source, documents: Documents) -> Page:
    body = json.dumps(documents).encode()
    return Page(split_records(body, source.name, "page 1"), None, None)


def run(engine: Engine, *reads: Documents, kind: type[Saying] = SayingCoingecko) -> Result:
    """Make a run of each, and return the last."""
    for says in reads:
        source = kind(base_url="", requests_per_minute=1, says=says)
        result = pipeline.run(engine, source, None, Options(batch_size=7))
    return result


def load_file(engine: Engine, source: Source, documents: Documents) -> Result:
    return pipeline.load_saved(
        engine, source, lambda _: iter([page(source, documents)]), Options(batch_size=7)
    )


def ledger(engine: Engine, **only: Any) -> list[Row[Any]]:
    stmt = select(drift).filter_by(**only).order_by(drift.c.path, drift.c.kind)
    with engine.connect() as conn:
        return list(conn.execute(stmt))


def found(engine: Engine) -> list[tuple[str, str, bool]]:
    """Path, kind, and whether it is acknowledged, of all that is in the ledger."""
    return [(d.path, d.kind, d.acknowledged_at is not None) for d in ledger(engine)]
