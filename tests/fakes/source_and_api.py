"""One source, its worker, and the API on the same database."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import URL

from tests.fakes.answers import body
from tests.fakes.api import api_on
from tests.fakes.market import Market
from tests.fakes.upstream import Upstream
from worker.app import Worker
from worker.ingest.runs.options import Result

SIZE = 200
"""Coins: one page of either provider."""

AGE = text(
    "UPDATE runs SET started_at = started_at - make_interval(mins => :minutes),"
    " finished_at = finished_at - make_interval(mins => :minutes)"
)


@dataclass
class Scene:
    """One source, its worker, and the API on the same database."""

    name: str
    upstream: Upstream
    worker: Worker
    reader_url: URL

    def run(self) -> Result:
        return self.worker.run(self.name)

    def ran(self) -> tuple[str, str | None]:
        ending = self.run().ending
        return ending.outcome, ending.reason

    def moves(self) -> None:
        """Let every coin's figures move."""
        self.upstream.market.tick(seconds=1)

    def sells(self, count: int) -> None:
        """Let the market have so many coins."""
        self.upstream.market.coins = Market(count, at=self.upstream.market.at).coins
        self.moves()

    def breaks(self, count: int) -> None:
        """Let the next answer hold so many records without an id."""
        self.moves()
        market = self.upstream.market
        render = market.ticker if self.name == "coinpaprika" else market.market
        records = [json.loads(render(coin)) for coin in market.coins]
        for record in records[:count]:
            record["id"] = ""
        self.upstream.answers(body(json.dumps(records).encode()))

    def wait(self, minutes: int) -> None:
        """Let time pass: what is stored becomes so much older."""
        with self.worker.engine.begin() as conn:
            conn.execute(AGE, {"minutes": minutes})

    def health(self) -> dict[str, Any]:
        """Ask the API for this source's state."""
        with api_on(self.reader_url, SOURCES=self.name) as client:
            response = client.get("/health")
        assert response.status_code == 200
        [source] = response.json["data"]["sources"]
        assert response.json["data"]["status"] == source["status"]
        return source

    def told(self) -> tuple[str, str | None]:
        health = self.health()
        return health["status"], health["reason"]

    def started_at(self, run_id: int) -> datetime:
        with self.worker.engine.connect() as conn:
            query = text("SELECT started_at FROM runs WHERE id = :id")
            return conn.execute(query, {"id": run_id}).scalar_one()
