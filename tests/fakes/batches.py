"""Batches of one's own making, in the sources' own shapes."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine

from shared.model.records import Observation, RawRecord, Reject
from worker.database.periods import periods_of
from worker.ingest.batch import copy, transaction
from worker.ingest.batch.contents import Batch, Counts
from worker.ingest.checking.check import check
from worker.ingest.runs import journal
from worker.sources.base import Source
from worker.sources.coingecko import Coingecko
from worker.sources.coinpaprika import Coinpaprika
from worker.sources.csv import CsvFiles
from worker.sources.json.records import split_records

COINGECKO = Coingecko(base_url="http://127.0.0.1", requests_per_minute=1)
COINPAPRIKA = Coinpaprika(base_url="http://127.0.0.1", requests_per_minute=1)

CSV = CsvFiles(path="", rows_per_page=1)

NOON = "2026-01-02T12:00:00.000Z"
LATER = "2026-01-02T12:05:00.000Z"
EARLIER = "2026-01-02T11:55:00.000Z"


def market(
    external_id: str, symbol: str, name: str, price: Any = 1, at: str = NOON, **fields: Any
) -> bytes:
    """One element of CoinGecko's `/coins/markets`. A price in text is spelled as it stands."""
    document = {
        "id": external_id,
        "symbol": symbol,
        "name": name,
        "current_price": "PRICE",
        "market_cap": 1000,
        "total_volume": 10,
        "circulating_supply": 100,
        "total_supply": None,
        "max_supply": None,
        "last_updated": at,
        **fields,
    }
    return json.dumps(document).replace('"PRICE"', str(price)).encode()


def ticker(external_id: str, symbol: str, name: str, price: Any = 1, at: str = NOON) -> bytes:
    """One element of CoinPaprika's `/tickers`."""
    quote = {"price": price, "market_cap": 2000, "volume_24h": 20}
    document = {
        "id": external_id,
        "symbol": symbol,
        "name": name,
        "total_supply": 0,
        "max_supply": 0,
        "last_updated": at,
        "quotes": {"USD": quote},
    }
    return json.dumps(document).encode()


def row(
    external_id: str,
    symbol: str = "BTC",
    name: str = "Bitcoin",
    price: str = "1",
    at: str = NOON,
) -> bytes:
    """One row of a CSV file, under headers that need no declaration."""
    cells = {"id": external_id, "symbol": symbol, "name": name}
    return json.dumps({"row": {**cells, "price_usd": price, "last_updated": at}}).encode()


def batch(source: Source, *payloads: bytes, **fields: Any) -> Batch:
    """Check the records as a run does, and make a batch of them."""
    observed: list[tuple[RawRecord, Observation]] = []
    rejects: list[Reject] = []
    body = b"[" + b",".join(payloads) + b"]"
    for record in split_records(body, source.name, "page 1"):
        checked = check(source, record, datetime.now(UTC))
        if isinstance(checked, Reject):
            rejects.append(checked)
        else:
            observed.append((record, checked))
    periods = periods_of([said.observed_at for _, said in observed])
    arguments: Mapping[str, Any] = {"cursor": None, "periods": periods, **fields}
    return Batch(copy.stage(observed), len(observed), rejects, **arguments)


def open_run(conn: Connection, source: Source) -> int:
    """Start a run on a connection, ready to load batches."""
    with conn.begin():
        run_id = journal.start_run(conn, source.name, "run", None)
        transaction.create_staging(conn, source.name)
    return run_id


def load(engine: Engine, source: Source, *payloads: bytes) -> Counts:
    """Load the records as one batch of a run of their own."""
    with engine.connect() as conn:
        run_id = open_run(conn, source)
        return transaction.load_batch(conn, source.name, run_id, batch(source, *payloads))
