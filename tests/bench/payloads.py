"""What is loaded: a made-up market in CoinGecko's shape, and CSV files of any length."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random

from tests.fakes.market import NOON, Market

IDS = 10_000
CSV_HEADER = (
    "id,symbol,name,price_usd,market_cap_usd,volume_24h_usd,circulating_supply,last_updated"
)


def write_snapshots(folder: Path, records: int, at: datetime = NOON) -> list[Path]:
    """Write snapshots of 10 000 coins (or fewer), each a saved response, until they hold so many.

    The same records each time. One stands on each line, which JSON does not mind.
    """
    ids = min(IDS, records)
    with ProcessPoolExecutor() as processes:
        return list(processes.map(partial(_write_snapshot, folder, ids, at), range(records // ids)))


def _write_snapshot(folder: Path, ids: int, at: datetime, number: int) -> Path:
    market = Market(ids, at=at)
    for _ in range(number):
        market.tick()
    file = folder / f"markets-{number:03}.json"
    records = map(market.market, market.markets("id_asc"))
    file.write_bytes(b"[\n" + b",\n".join(records) + b"\n]")
    return file


def read_lines(file: Path) -> Iterator[bytes]:
    """Yield the records of a snapshot, as the bytes they were written in."""
    for line in file.read_bytes().splitlines()[1:-1]:
        yield line.removesuffix(b",")


def write_csv(file: Path, rows: int) -> Path:
    """Write a CSV file of so many rows: 10 000 coins, again and again five minutes later."""
    with file.open("w", encoding="utf-8") as out:
        out.write(CSV_HEADER + "\n")
        out.writelines(islice(_rows(Random(1)), rows))
    return file


def _rows(dice: Random) -> Iterator[str]:
    at = NOON - timedelta(days=90)
    while True:
        yield from _snapshot_rows(dice, at)
        at += timedelta(minutes=5)


def _snapshot_rows(dice: Random, at: datetime) -> Iterator[str]:
    moment = f"{at:%Y-%m-%dT%H:%M:%SZ}"
    for number in range(IDS):
        price = dice.random() * 10
        yield (
            f"coin-{number},C{number},Coin {number},{price},{price * 1e9:.2f},{price * 1e7:.2f},"
            f"{1_000_000 + number},{moment}\n"
        )
