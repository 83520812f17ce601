"""The API as a test meets it: its application on a database, and rows for it to show."""

import contextlib
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

from flask.testing import FlaskClient
from sqlalchemy import Connection, Text, cast, func, insert, literal, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import URL, make_url

from api.app import create_app
from shared.model.records import VALUES
from shared.schema.market import assets, listings, observations
from shared.schema.operations import checkpoints, drift, rejects, runs
from shared.schema.raw import RAW
from shared.settings import Settings

UNCACHED = {"API_CACHE_MB": "0"}
"""Settings with which every request reads the database."""

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOWHERE = make_url("postgresql+psycopg2://reader@127.0.0.1:9/nowhere?connect_timeout=1")
"""A database that does not exist, for what the API says without one."""


class WholeAnswers(FlaskClient):
    """A client that reads every answer to its end, as a server sends it, and closes it."""

    def open(self, *args, buffered: bool = True, **options):
        return super().open(*args, buffered=buffered, **options)


@contextlib.contextmanager
def api_on(url: URL, **environ: str) -> Iterator[FlaskClient]:
    """A client of the application on one database; every connection is closed after."""
    environ = {"API_DATABASE_URL": url.render_as_string(hide_password=False), **environ}
    app = create_app(Settings.from_env(environ))
    app.test_client_class = WholeAnswers
    try:
        yield app.test_client()
    finally:
        app.extensions["database"].close()


def add_run(conn: Connection, source: str = "coingecko", outcome: str = "succeeded", **columns):
    """Insert a run that took 2.5 s, and return its id."""
    values = {
        "command": "run",
        "host": "etl-1",
        "pid": 1,
        "started_at": NOON,
        "finished_at": None
        if outcome == "running"
        else NOON.replace(microsecond=500_000, second=2),
    }
    row = {"source": source, "outcome": outcome, **values, **columns}
    return conn.execute(insert(runs).values(row).returning(runs.c.id)).scalar_one()


def add_checkpoint(conn: Connection, run_id: int, source: str = "coingecko", **columns) -> None:
    conn.execute(insert(checkpoints).values(source=source, run_id=run_id, **columns))


def add_asset(conn: Connection, slug: str, **columns) -> int:
    """Insert an asset without listings, and return its id."""
    row = {"slug": slug, "symbol": slug[:3].upper(), "name": slug.title(), **columns}
    return conn.execute(insert(assets).values(row).returning(assets.c.id)).scalar_one()


def add_listing(conn: Connection, asset_id: int, source: str, external_id: str, **columns) -> int:
    """Insert a listing of an asset, and return its id."""
    row = {
        "asset_id": asset_id,
        "run_id": 1,
        "source": source,
        "external_id": external_id,
        "symbol": "BTC",
        "name": "Bitcoin",
        "symbol_key": "btc",
        "name_key": "bitcoin",
        "observed_at": NOON,
        "payload_hash": hashlib.sha256(external_id.encode()).digest()[:16],
        "match_method": "own",
        "match_score": Decimal(1),
        "match_evidence": {},
        **columns,
    }
    listing_id = conn.execute(insert(listings).values(row).returning(listings.c.id)).scalar_one()
    theirs = select(func.array_agg(listings.c.source.distinct())).where(
        listings.c.asset_id == asset_id
    )
    conn.execute(
        update(assets).where(assets.c.id == asset_id).values(sources=theirs.scalar_subquery())
    )
    return listing_id


def add_observation(conn: Connection, listing_id: int, **columns) -> None:
    """Insert an observation of a listing, loaded at once."""
    told = repr(sorted(columns.items()))
    row = {
        "listing_id": listing_id,
        "observed_at": NOON,
        "run_id": 1,
        "payload_hash": hashlib.sha256(told.encode()).digest()[:16],
        **columns,
    }
    conn.execute(insert(observations).values({"ingested_at": row["observed_at"], **row}))


def add_raw_record(
    conn: Connection, source: str, external_id: str, payload: str, **columns
) -> bytes:
    """Insert a raw record with the hash that Postgres makes of it, and return that."""
    hashed = "substr(sha256(convert_to(CAST(:payload AS jsonb)::text, 'UTF8')), 1, 16)"
    payload_hash = bytes(conn.scalar(text(f"SELECT {hashed}"), {"payload": payload}))
    row = {
        "observed_at": NOON,
        "run_id": 1,
        "external_id": external_id,
        "payload_hash": payload_hash,
        "payload": cast(literal(payload, Text), JSONB),
        **columns,
    }
    conn.execute(insert(RAW[source]).values(row))
    return payload_hash


def add_reject(
    conn: Connection, payload: bytes = b"{}", source: str = "coingecko", **columns
) -> int:
    """Insert an open reject, and return its id."""
    row = {
        "source": source,
        "external_id": "bitcoin",
        "position": "page 1, record 1",
        "reasons": ["current_price: negative: -1"],
        "payload": payload,
        "payload_hash": payload[:16],
        "first_run_id": 1,
        "last_run_id": 1,
        "first_seen_at": NOON,
        "last_seen_at": NOON,
        **columns,
    }
    return conn.execute(insert(rejects).values(row).returning(rejects.c.id)).scalar_one()


def add_drift(conn: Connection, path: str, source="coingecko", kind="appeared", **columns) -> int:
    """Insert an open difference, and return its id."""
    row = {
        "source": source,
        "path": path,
        "kind": kind,
        "detail": {"type": "number"},
        "first_run_id": 1,
        "last_run_id": 2,
        "records": 10,
        "share": Decimal("0.25"),
        "example": {"position": "page 1", "exact": 1},
        "first_seen_at": NOON,
        "last_seen_at": NOON,
        **columns,
    }
    return conn.execute(insert(drift).values(row).returning(drift.c.id)).scalar_one()


def take_values_from(conn: Connection, asset_id: int, **listing_ids: int) -> None:
    """Say which listing each of an asset's values comes from."""
    columns = {f"{value}_listing_id": listing_ids.get(value) for value in VALUES}
    conn.execute(update(assets).where(assets.c.id == asset_id).values(columns))
