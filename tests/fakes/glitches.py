"""A market of which one provider gets a pass wrong, and what that does to identity."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, select

from shared.schema.market import assets, listings
from tests.fakes.market import Coin, Market
from tests.fakes.runner import Runner
from tests.fakes.upstream import Upstream
from worker.ingest.runs.options import Result

IDS, PRICES = "ids", "prices"
HOUR = 3600
KINDS = {"coingecko": "market", "coinpaprika": "ticker"}


class GlitchyMarket(Market):
    """Coins of two sources; `wrong` says what a source gets wrong of all of them for now.

    Of every tenth coin the sources mean two coins of one name, whose prices are 500 times apart.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.wrong: dict[str, str] = {}

    def market(self, coin: Coin) -> bytes:
        return self._told("coingecko", coin, super().market(coin))

    def ticker(self, coin: Coin) -> bytes:
        return self._told("coinpaprika", coin, super().ticker(coin))

    def _told(self, source: str, coin: Coin, record: bytes) -> bytes:
        wrong = self.wrong.get(source)
        is_other = coin.number % 10 == 0
        if not wrong and not is_other:
            return record
        document = json.loads(record)
        if wrong == IDS:
            document["id"] = f"{document['id']}-{coin.number}x"
        factor = 1000.0 if wrong == PRICES else 1.0
        if source == "coinpaprika" and is_other:
            factor *= 500
            document["total_supply"] = document["max_supply"] = 0
        quote, price = _price_of(document)
        if quote[price]:
            quote[price] *= factor
        return json.dumps(document).encode()


def _price_of(document: dict[str, Any]) -> tuple[dict[str, Any], str]:
    if "quotes" in document:
        return document["quotes"]["USD"], "price"
    return document, "current_price"


@dataclass(frozen=True)
class Links:
    """Which listings are one asset with another source's, and every listing's slug."""

    pairs: frozenset[frozenset[str]]
    slugs: Mapping[str, str]

    def share_kept(self, later: "Links") -> float:
        return len(self.pairs & later.pairs) / len(self.pairs)


def read_links(engine: Engine) -> Links:
    stmt = select(listings.c.source, listings.c.external_id, assets.c.slug).join(assets)
    slugs: dict[str, str] = {}
    members: dict[str, set[str]] = {}
    with engine.connect() as conn:
        for row in conn.execute(stmt):
            slugs[f"{row.source}:{row.external_id}"] = row.slug
            members.setdefault(row.slug, set()).add(f"{row.source}:{row.external_id}")
    linked = frozenset(frozenset(refs) for refs in members.values() if len(refs) > 1)
    return Links(linked, slugs)


@dataclass
class Scene:
    """Two sources of one market, read in turn into one database."""

    engine: Engine
    upstream: Upstream
    market: GlitchyMarket

    def run(self, source: str, batch_size: int = 1000) -> Result:
        return Runner(self.engine, self.upstream, source, batch_size).run()

    def good_pass(self, seconds: float = 300) -> list[str | None]:
        """Let both sources tell what is right; return their runs' reasons."""
        self.market.wrong.clear()
        self.market.tick(seconds)
        return [self.run(source).ending.reason for source in KINDS]

    def wrong_pass(self, source: str, wrong: str, seconds: float = 300) -> str | None:
        """Let one source be wrong; without `seconds` about the instants that it told before."""
        if seconds:
            self.market.tick(seconds)
        self.market.wrong[source] = wrong
        return self.run(source).ending.reason


def open_scene(engine: Engine, upstream: Upstream, size: int) -> tuple[Scene, Links]:
    """Load two good passes, and say what is linked by them."""
    market = upstream.market = GlitchyMarket(size)
    scene = Scene(engine, upstream, market)
    scene.good_pass()
    scene.good_pass()
    return scene, read_links(engine)
