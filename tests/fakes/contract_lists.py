"""Lists of contracts, as files and as the database has them."""

import json
import os
from datetime import UTC, datetime

from sqlalchemy import select

from shared.schema.identity import contracts
from tests.fakes.market import coin_id
from tests.fakes.runner import adapter
from worker.ingest import pipeline
from worker.ingest.runs.options import Options

USDT = "0xdAC17F958D2ee523a2206206994597C13D831ec7"
LISTED_BY = {"coingecko_coins": "coingecko", "coinpaprika_contracts": "coinpaprika"}


def held(engine, source):
    with engine.connect() as conn:
        rows = conn.execute(
            select(contracts.c.external_id, contracts.c.chain, contracts.c.address).where(
                contracts.c.source == source
            )
        )
        return {tuple(row) for row in rows}


def expected(market, source):
    """What the market's coins have, in the form in which it is compared."""
    own = coin_id if source == "coinpaprika" else lambda coin: coin.slug
    return {
        (own(coin), chain, address.lower() if address.startswith("0x") else address)
        for coin in market.coins
        for chain, address in market.contracts(coin).items()
    }


def load(engine, tmp_path, source, records, at, name="eth-ethereum"):
    """Import a saved response that was written `at` a day of 2026."""
    file = tmp_path / f"{name}.json"
    file.write_text(json.dumps(records))
    moment = datetime(2026, 1, at, tzinfo=UTC).timestamp()
    os.utime(file, (moment, moment))
    served = adapter(source, OFFLINE)
    return pipeline.load_saved(engine, served, lambda read: read.saved_pages(file), Options(1))


class Offline:
    coingecko_url = coinpaprika_url = "http://127.0.0.1:9"


OFFLINE = Offline()


def coin(external_id, **platforms):
    return {"id": external_id, "symbol": "t", "name": "T", "platforms": platforms}


def contract(external_id, address=USDT, **more):
    return {"id": external_id, "address": address, "type": "ERC20", **more}
