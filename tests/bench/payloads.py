"""What is loaded: snapshots of a made-up market in two sources' shapes, and CSV files."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random

from tests.bench.crowded_market import CrowdedMarket
from tests.bench.plans import LOADED, MOVED, NEW, UNCHANGED, Pass
from tests.fakes.market import NOON

COINS = 10_000
SOURCES = {"coingecko": CrowdedMarket.market, "coinpaprika": CrowdedMarket.ticker}
MOVED_SHARE = 0.3
CSV_HEADER = (
    "id,symbol,name,price_usd,market_cap_usd,volume_24h_usd,circulating_supply,last_updated"
)


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Where a market's snapshots go; `name` tells them from another market's."""

    folder: Path
    name: str
    coins: int
    crowds: Sequence[int] | None = None
    at: datetime = NOON

    def write_passes(self, times: int) -> list[Pass]:
        """Write both sources' snapshots of so many times five minutes in which every coin moves.

        After them, 30 % of the coins move; then none does, and the same files come again.
        """
        with ProcessPoolExecutor() as processes:
            *whole, moved = processes.map(self.write, range(times + 1), [times] * (times + 1))
        files = [file for snapshot, _ in whole for file in snapshot]
        again, number = moved
        records = len(SOURCES) * self.coins
        return [
            Pass(NEW, files, times * records, times * records),
            Pass(MOVED, again, records, number),
            Pass(UNCHANGED, again, records, 0),
        ]

    def write(self, number: int, last: int) -> tuple[list[tuple[str, str]], int]:
        """Write the sources' snapshots after so many moves, the `last` one of 30 % of the coins.

        Return them, and how many of their records the snapshots before do not have. A record stands
        on each line, which JSON does not mind.
        """
        market = CrowdedMarket(self.coins, self.crowds, self.at)
        for move in range(1, number + 1):
            market.tick(share=1.0 if move < last else MOVED_SHARE)
        coins = market.markets("id_asc")
        files = []
        for source, render in SOURCES.items():
            file = self.folder / f"{self.name}-{source}-{number:03}.json"
            records = (render(market, coin) for coin in coins)
            file.write_bytes(b"[\n" + b",\n".join(records) + b"\n]")
            files.append((source, str(file)))
        return files, len(SOURCES) * sum(coin.at == market.at for coin in coins)


def read_lines(file: Path) -> Iterator[bytes]:
    """Yield the records of a snapshot, as the bytes they were written in."""
    for line in file.read_bytes().splitlines()[1:-1]:
        yield line.removesuffix(b",")


def write_csv(file: Path, rows: int) -> Pass:
    """Write a CSV file of so many rows: 10 000 coins, again and again five minutes later."""
    with file.open("w", encoding="utf-8") as out:
        out.write(CSV_HEADER + "\n")
        out.writelines(islice(_rows(Random(1)), rows))
    return Pass(LOADED, [("csv", str(file))], rows, rows)


def _rows(dice: Random) -> Iterator[str]:
    at = NOON - timedelta(days=90)
    while True:
        yield from _snapshot_rows(dice, at)
        at += timedelta(minutes=5)


def _snapshot_rows(dice: Random, at: datetime) -> Iterator[str]:
    moment = f"{at:%Y-%m-%dT%H:%M:%SZ}"
    for number in range(COINS):
        price = dice.random() * 10
        yield (
            f"coin-{number},C{number},Coin {number},{price},{price * 1e9:.2f},{price * 1e7:.2f},"
            f"{1_000_000 + number},{moment}\n"
        )
