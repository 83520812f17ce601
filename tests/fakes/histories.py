"""Histories of one asset: generated, stored, and asked for."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from shared.schema.market import observations
from tests.fakes.api import NOON, add_asset, add_listing
from tests.fakes.batches import market
from tests.fakes.databases import empty

PATH = "/data/bitcoin/history"
FEW = settings(
    max_examples=settings.default.max_examples // 4,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
LISTINGS = (
    ("coingecko", "bitcoin"),
    ("coinpaprika", "btc-bitcoin"),
    ("csv", "a:btc"),
    ("csv", "b"),
)

INSTANTS = tuple(
    timedelta(days=day, minutes=minutes) for day in (-5, 0, 27) for minutes in (-1, 0, 4, 5, 61)
)
"""Few, so that there are ties of every kind, and on both sides of where intervals begin."""


def ask(client, path=PATH, **query):
    answer = client.get(path, query_string=query)
    assert answer.status_code == 200, answer.text
    return answer.json


def walk(client, **query):
    """Follow the cursors to the end; return the entries, in exact decimals, and the pages."""
    pages = [ask(client, decimals="string", **query)]
    while pages[-1]["meta"]["next_cursor"]:
        cursor = pages[-1]["meta"]["next_cursor"]
        pages.append(ask(client, decimals="string", **query, cursor=cursor))
        assert len(pages) < 1000
    return [entry for page in pages for entry in page["data"]], pages


def bitcoin(price, time, **fields):
    return market("bitcoin", "btc", "Bitcoin", price, time, **fields)


NUMBERS = st.sampled_from(
    (None, *map(Decimal, ("0", "1", "1.50", "2", "3", "0.00000001234567890123456789")))
)


@st.composite
def observed(draw):
    """One observation."""
    source, external_id = draw(st.sampled_from(LISTINGS))
    return {
        "source": source,
        "external_id": external_id,
        "observed_at": MONDAY + draw(st.sampled_from(INSTANTS)),
        "ingested_at": NOON + timedelta(minutes=draw(st.integers(0, 3))),
        "payload_hash": bytes([draw(st.integers(0, 3))]) * 16,
        "run_id": 1,
        "price_usd": draw(NUMBERS),
        "volume_24h_usd": draw(NUMBERS),
    }


def place(row):
    return row["observed_at"], row["source"], row["external_id"], row["payload_hash"]


HISTORIES = st.lists(observed(), min_size=5, max_size=40, unique_by=place)


def store(engine, rows):
    """Put observations into an emptied database, of four listings of one asset, and of another."""
    empty(engine)
    with engine.begin() as conn:
        add_listing(conn, add_asset(conn, "other"), "csv", "other")
        asset = add_asset(conn, "bitcoin")
        ids = {key: add_listing(conn, asset, *key, observed_at=MONDAY) for key in LISTINGS}
        values = [
            {
                "listing_id": ids[row["source"], row["external_id"]],
                **{name: row[name] for name in row if name not in {"source", "external_id"}},
            }
            for row in rows
        ]
        if values:
            conn.execute(insert(observations), values)
            others = [{**row, "listing_id": min(ids.values()) - 1} for row in values]
            conn.execute(
                insert(observations), list({place_of(row): row for row in others}.values())
            )


def place_of(row):
    return row["observed_at"], row["payload_hash"]


def chosen(rows, start, end, *, source=None, external_id=None, known_at=None):
    return sorted(
        (
            row
            for row in rows
            if start <= row["observed_at"] < end
            and source in {None, row["source"]}
            and external_id in {None, row["external_id"]}
            and (known_at is None or row["ingested_at"] <= known_at)
        ),
        key=place,
    )


SELECTIONS = st.sampled_from(
    (
        {},
        {"source": "csv"},
        {"source": "coingecko"},
        {"external_id": "b"},
        {"source": "csv", "external_id": "a:btc"},
        {"known_at": NOON + timedelta(minutes=1)},
    )
)


def written(value):
    return value.isoformat() if isinstance(value, datetime) else value
