"""The market of the tests, with symbols shared as they are shared on CoinGecko in 2025."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import count
from random import Random

from tests.fakes.market import NOON, Market

SHARED = 0.3
"""How large a share of the coins has a symbol that others have too."""

MOST = 70
"""Coins of the symbol that most coins have; the n-th has this many divided by n to the 0.8."""


def shared_symbols(coins: int) -> Iterator[int]:
    """Yield how many coins each shared symbol has, the most crowded first; most have two."""
    left = round(coins * SHARED)
    for place in count(1):
        size = min(left, max(2, round(MOST / place**0.8)))
        if left - size == 1:
            size += 1
        if size < 2:
            return
        yield size
        left -= size


class CrowdedMarket(Market):
    """A market in which so many coins have one symbol (`crowds`), and all others one of their own.

    Both sources list every coin, with the same name and symbol, and prices that differ by 0.1 % at
    most. Which coins are in a crowd is the same each time. From one snapshot to the next, in five
    minutes, a price moves by 2 % at most: more than most coins do.
    """

    most_moved = 0.01

    def __init__(self, size: int, crowds: Sequence[int] | None = None, at: datetime = NOON) -> None:
        super().__init__(size, at=at)
        for coin in self.coins:
            coin.symbol = f"{coin.symbol[:4]}{coin.number // 100}"
        mixed = Random(self.seed).sample(self.coins, size)
        for crowd in shared_symbols(size) if crowds is None else crowds:
            members, mixed = mixed[:crowd], mixed[crowd:]
            for coin in members:
                coin.symbol = members[0].symbol
