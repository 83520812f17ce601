"""Take the screenshots of the README: `make screenshots`.

The coins are those of the sample data; their prices are made up, a week of them until now.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import Engine, create_engine

from shared.embedded.server import READER, EmbeddedPostgres
from tests.conftest import CARELESS
from tests.fakes.batches import COINGECKO, COINPAPRIKA, load
from tests.fakes.chromium import chromium, find, show
from tests.fakes.databases import open_folder
from tests.fakes.gunicorn import serving
from worker.maintenance.migrate import upgrade

PROJECT = Path(__file__).resolve().parent.parent.parent
FOLDER = PROJECT / "data" / "screenshots"
PAGES = {"market": "/dashboard", "asset": "/dashboard/assets/bitcoin?interval=4h"}
WIDTH, HEIGHT = 1100, 620
MOST_BYTES = 150_000

STEP, STEPS = timedelta(hours=4), 43
DIVERGENT = "Dogecoin"
"""A coin whose price at CoinGecko is a tenth higher than at CoinPaprika."""


def main() -> None:
    """Load a market, and write an image of each page."""
    with open_folder() as folder, EmbeddedPostgres(folder, options=CARELESS).running() as server:
        upgrade(server.url)
        engine = create_engine(server.url)
        load_week(engine)
        engine.dispose()
        (folder / "api").mkdir()
        with (
            serving(server.url.set(username=READER), folder / "api") as gunicorn,
            chromium(folder / "profile") as browser,
        ):
            show(browser, WIDTH, HEIGHT, "light")
            for name, path in PAGES.items():
                browser.get(gunicorn.url + path)
                find(browser, "h1")
                image = FOLDER / f"{name}.png"
                image.parent.mkdir(exist_ok=True)
                browser.get_screenshot_as_file(str(image))
                size = image.stat().st_size
                if size > MOST_BYTES:
                    raise SystemExit(f"{image}: {size} bytes; at most {MOST_BYTES} are wanted")


def load_week(engine: Engine) -> None:
    coins = {coin["name"]: coin for coin in read("coinpaprika_tickers.json")}
    others = [coin for coin in read("coingecko_markets.json") if coin["name"] in coins]
    paths = {name: list(walk(coin)) for name, coin in coins.items()}
    now = datetime.now(UTC)
    for number in range(STEPS):
        at = (now - STEP * (STEPS - 1 - number)).isoformat()
        tickers = {name: ticker_at(coin, paths[name][number], at) for name, coin in coins.items()}
        markets = [market_at(coin, tickers[coin["name"]], at) for coin in others]
        load(engine, COINPAPRIKA, *(json.dumps(each).encode() for each in tickers.values()))
        load(engine, COINGECKO, *(json.dumps(each).encode() for each in markets))


def read(file: str) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = json.loads((PROJECT / "data" / file).read_text("utf-8"))
    return records


def walk(coin: dict[str, Any]) -> Iterator[float]:
    """Yield a price for each step: a random walk, the same each time."""
    dice, price = Random(coin["name"]), float(coin["quotes"]["USD"]["price"])
    most = 0.0003 if "USD" in coin["symbol"] or coin["symbol"] == "DAI" else 0.025
    for _ in range(STEPS):
        price *= 1 + dice.uniform(-most, most * 1.04)
        yield float(f"{price:.7g}")


def ticker_at(coin: dict[str, Any], price: float, at: str) -> dict[str, Any]:
    usd = coin["quotes"]["USD"]
    cap = round(usd["market_cap"] / usd["price"] * price)
    quotes = {"USD": {**usd, "price": price, "market_cap": cap}}
    return {**coin, "last_updated": at, "quotes": quotes}


def market_at(coin: dict[str, Any], ticker: dict[str, Any], at: str) -> dict[str, Any]:
    usd = ticker["quotes"]["USD"]
    price = float(f"{usd['price'] * (1.1 if coin['name'] == DIVERGENT else 1.0002):.7g}")
    supplies = {name: ticker[name] or None for name in ("total_supply", "max_supply")}
    figures = {"market_cap": usd["market_cap"], "total_volume": usd["volume_24h"]}
    return {**coin, **supplies, **figures, "current_price": price, "last_updated": at}


if __name__ == "__main__":
    main()
