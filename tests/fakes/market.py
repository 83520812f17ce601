"""A made-up market: any number of coins, the same for the same seed, in both providers' shapes."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

FIRST = (
    "Amber",
    "Basalt",
    "Cobalt",
    "Dune",
    "Ember",
    "Fjord",
    "Garnet",
    "Harbor",
    "Indigo",
    "Jade",
)
SECOND = ("Bridge", "Chain", "Dex", "Field", "Grid", "Layer", "Node", "Pay", "Swap", "Verse")
PLATFORMS = {
    "eth-ethereum": "ethereum",
    "matic-polygon": "polygon-pos",
    "sol-solana": "solana",
}
"""CoinPaprika's names of the platforms that the market's contracts are on, and CoinGecko's."""
NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)


@dataclass(slots=True)
class Coin:
    """One coin; `version` counts how often its figures moved, the last time `at`."""

    number: int
    name: str
    symbol: str
    slug: str
    at: datetime
    version: int = 0


def coin_id(coin: Coin) -> str:
    """Say what CoinPaprika calls a coin."""
    return f"{coin.symbol.lower()}-{coin.slug}"


class Market:
    """So many coins at one moment; `tick` moves it on."""

    most_moved = 0.1
    """How far a price is at most from the coin's base, as a share of it."""

    def __init__(self, size: int, seed: int = 1, at: datetime = NOON) -> None:
        self.at = at
        self.seed = seed
        self.coins = [self._coin(number) for number in range(1, size + 1)]
        self.moved: dict[int, dict[str, str]] = {}
        self._ticks = 0
        self._orders: dict[str, list[Coin]] = {}
        self._rendered: dict[tuple[str, int], tuple[int, bytes]] = {}

    def _coin(self, number: int) -> Coin:
        first, second = FIRST[number % 10], SECOND[number // 10 % 10]
        series = number // 100
        name = f"{first} {second}" + (f" {series}" if series else "")
        # A third of the coins share their symbol with others, as in the real market.
        mark = f"{series // 9}S" if number % 3 == 0 else f"{series}"
        symbol = f"{first[:2]}{second[:2]}{mark}".upper()
        return Coin(number, name, symbol, name.lower().replace(" ", "-"), self.at)

    def tick(self, seconds: float = 300, share: float = 1.0) -> None:
        """Let time pass. So large a share of the coins moves, and gets the new time."""
        self._ticks += 1
        self._orders.clear()
        self.at += timedelta(seconds=seconds)
        dice = Random(self.seed * 7919 + self._ticks)
        for coin in self.coins:
            if dice.random() < share:
                coin.version += 1
                coin.at = self.at

    def markets(self, order: str = "market_cap_desc") -> Sequence[Coin]:
        """The coins in one of CoinGecko's orders."""
        if order not in self._orders:
            if order in {"id_asc", "id_desc"}:
                coins = sorted(self.coins, key=lambda coin: coin.slug, reverse=order == "id_desc")
            else:
                coins = sorted(self.coins, key=self._cap, reverse=True)
            self._orders[order] = coins
        return self._orders[order]

    def _once(self, kind: str, coin: Coin, render: Callable[[Coin], bytes]) -> bytes:
        """Render a coin's record once a version."""
        version, record = self._rendered.get((kind, coin.number), (-1, b""))
        if version != coin.version:
            record = render(coin)
            self._rendered[kind, coin.number] = (coin.version, record)
        return record

    def market(self, coin: Coin) -> bytes:
        """One element of CoinGecko's `/coins/markets`."""
        return self._once("market", coin, self._market)

    def ticker(self, coin: Coin) -> bytes:
        """One element of CoinPaprika's `/tickers`."""
        return self._once("ticker", coin, self._ticker)

    def contracts(self, coin: Coin) -> dict[str, str]:
        """The coin's addresses by CoinGecko's platforms; coins of a chain of their own have none.

        `moved` says of single coins what they have instead.
        """
        if coin.number in self.moved:
            return self.moved[coin.number]
        address = f"0x{coin.number:040X}"
        if coin.number % 5 == 0:
            return {}
        if coin.number % 7 == 0:
            return {"solana": f"So{coin.number:042d}", "ethereum": address}
        return {"ethereum": address} if coin.number % 2 else {"polygon-pos": address}

    def listed(self, coin: Coin) -> bytes:
        """One element of CoinGecko's `/coins/list?include_platform=true`."""
        platforms = self.contracts(coin) or {"": ""}
        document = {
            "id": coin.slug,
            "symbol": coin.symbol.lower(),
            "name": coin.name,
            "platforms": {
                name: address.lower() if address.startswith("0x") else address
                for name, address in platforms.items()
            },
        }
        return json.dumps(document, separators=(",", ":")).encode()

    def platform(self, name: str) -> list[bytes]:
        """The elements of CoinPaprika's `/contracts/{platform}`."""
        kind = "ERC20" if name != "sol-solana" else "SPL"
        return [
            json.dumps({"address": address, "id": coin_id(coin), "type": kind, "active": True})
            .replace(" ", "")
            .encode()
            for coin in self.coins
            for address in [self.contracts(coin).get(PLATFORMS[name], "")]
            if address
        ]

    def _cap(self, coin: Coin) -> float:
        return (self._price(coin) or 0.0) * (self._supply(coin) or 0.0)

    def _price(self, coin: Coin) -> float | None:
        if coin.number % 47 == 0:
            return None
        base = Random(self.seed * 1_000_003 + coin.number).lognormvariate(-1, 4)
        moves = Random(self.seed * 1_000_003 + coin.number * 8191 + coin.version)
        return base * (1 + moves.uniform(-self.most_moved, self.most_moved))

    def _supply(self, coin: Coin) -> float | None:
        if coin.number % 11 == 0:
            return None
        return Random(self.seed * 31 + coin.number).lognormvariate(18, 2)

    def _market(self, coin: Coin) -> bytes:
        price, supply = self._price(coin), self._supply(coin)
        r = Random(self.seed * 104_729 + coin.number * 127 + coin.version).uniform
        cap = None if price is None else round(price * supply) if supply else 0
        moved = f"{coin.at:%Y-%m-%dT%H:%M:%S}.{coin.number % 1000:03d}Z"
        p = price or 0.0
        document = {
            "id": coin.slug,
            "symbol": coin.symbol.lower(),
            "name": coin.name,
            "image": f"https://coin-images.example.test/coins/images/{coin.number}/large/{coin.slug}.png?1696501400",
            "current_price": price,
            "market_cap": cap,
            "market_cap_rank": coin.number if cap else None,
            "fully_diluted_valuation": cap,
            "total_volume": None if price is None else p * r(1e3, 1e7),
            "high_24h": None if price is None else p * r(1, 1.2),
            "low_24h": None if price is None else p * r(0.8, 1),
            "price_change_24h": p * r(-0.2, 0.2),
            "price_change_percentage_24h": round(r(-20, 20), 5),
            "market_cap_change_24h": r(-1e6, 1e6),
            "market_cap_change_percentage_24h": round(r(-20, 20), 5),
            "circulating_supply": supply or 0.0,
            "total_supply": supply and supply * 1.5,
            "max_supply": supply * 2 if supply and coin.number % 3 == 0 else None,
            "ath": p * r(1.2, 90),
            "ath_change_percentage": round(r(-99, -10), 5),
            "ath_date": "2021-04-14T11:54:46.763Z",
            "atl": p * r(0.01, 0.7),
            "atl_change_percentage": round(r(10, 90_000), 5),
            "atl_date": "2020-03-13T02:30:12.091Z",
            "roi": {"times": r(1, 90), "currency": "btc", "percentage": r(1, 9000)}
            if coin.number % 29 == 0
            else None,
            "last_updated": moved,
        }
        return json.dumps(document, separators=(",", ":")).encode()

    def _ticker(self, coin: Coin) -> bytes:
        price, supply = self._price(coin), self._supply(coin)
        r = Random(self.seed * 15_485_863 + coin.number * 131 + coin.version).uniform
        p = (price or 0.0) * r(0.999, 1.001)
        document = {
            "id": coin_id(coin),
            "name": coin.name,
            "symbol": coin.symbol,
            "rank": coin.number,
            "total_supply": round(supply * 1.5) if supply else 0,
            "max_supply": round(supply * 2) if supply and coin.number % 3 == 0 else 0,
            "beta_value": round(r(0, 2), 6),
            "first_data_at": "2017-08-24T00:00:00Z",
            "last_updated": f"{coin.at:%Y-%m-%dT%H:%M:%SZ}",
            "quotes": {
                "USD": {
                    "price": p,
                    "volume_24h": p * r(1e3, 1e7),
                    "volume_24h_change_24h": round(r(-50, 50), 2),
                    "market_cap": round(p * supply) if supply else 0,
                    "market_cap_change_24h": round(r(-20, 20), 2),
                    "percent_change_15m": round(r(-1, 1), 2),
                    "percent_change_30m": round(r(-1, 1), 2),
                    "percent_change_1h": round(r(-2, 2), 2),
                    "percent_change_6h": round(r(-5, 5), 2),
                    "percent_change_12h": round(r(-8, 8), 2),
                    "percent_change_24h": round(r(-20, 20), 2),
                    "percent_change_7d": round(r(-30, 30), 2),
                    "percent_change_30d": 0,
                    "percent_change_1y": 0,
                    "ath_price": p * r(1.2, 90),
                    "ath_date": "2021-05-12T14:50:15Z",
                    "percent_from_price_ath": round(r(-99, -10), 2),
                }
            },
        }
        return json.dumps(document, separators=(",", ":")).encode()
