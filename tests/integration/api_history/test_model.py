"""Histories and candles of generated observations, against a model."""

from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from api.queries.history.intervals import INTERVALS, MONTH, WIDTHS
from tests.fakes.api import NOON
from tests.fakes.histories import (
    FEW,
    HISTORIES,
    INSTANTS,
    LISTINGS,
    MONDAY,
    SELECTIONS,
    ask,
    chosen,
    place,
    store,
    walk,
    written,
)
from tests.fakes.reference import plain


@FEW
@given(HISTORIES, SELECTIONS, st.tuples(st.integers(-200, 100), st.integers(1, 900)), st.data())
def test_every_observation_of_the_window_is_there_once_in_order(
    engine, client, rows, selection, window, data
):
    store(engine, rows)
    page_size = data.draw(st.integers(1, 9))
    start = MONDAY + timedelta(hours=window[0])
    end = start + timedelta(hours=window[1])

    query = {name: written(value) for name, value in selection.items()}
    found, pages = walk(
        client, start=start.isoformat(), end=end.isoformat(), page_size=page_size, **query
    )

    expected = chosen(rows, start, end, **selection)
    assert [
        (each["observed_at"], each["source"], each["external_id"], each["payload_hash"])
        for each in found
    ] == [
        (plain(row["observed_at"]), *place(row)[1:3], row["payload_hash"].hex()) for row in expected
    ]
    for each, row in zip(found, expected, strict=True):
        for name in ("price_usd", "volume_24h_usd", "ingested_at"):
            assert each[name] == plain(row[name])
    assert all(page["meta"]["count"] == page_size for page in pages[:-1])
    assert len(pages) == max(1, -(-len(expected) // page_size))


def begin_of(interval, time):
    """Work out where a candle begins, apart from the program's way."""
    midnight = time.replace(hour=0, minute=0, second=0, microsecond=0)
    if interval == MONTH:
        return midnight.replace(day=1)
    if interval == "1w":
        return midnight - timedelta(days=time.weekday())
    if interval == "1d":
        return midnight
    seconds = int(WIDTHS[interval].total_seconds())
    return midnight + timedelta(seconds=(time - midnight).seconds // seconds * seconds)


def next_of(interval, start):
    if interval == MONTH:
        return (start + timedelta(days=31)).replace(day=1)
    return start + WIDTHS[interval]


def candle(start, rows):
    priced = [row for row in rows if row["price_usd"]]
    if not priced:
        prices = dict.fromkeys(("open_usd", "high_usd", "low_usd", "close_usd"))
        ends = dict.fromkeys(("volume_24h_usd", "first_observed_at", "last_observed_at"))
        return {"start": plain(start), **prices, **ends, "sample_count": 0, "sources": []}
    prices = [row["price_usd"] for row in priced]
    current = priced[-1]["observed_at"] - timedelta(hours=1)
    volumes = [
        row["volume_24h_usd"]
        for row in priced
        if row["volume_24h_usd"] is not None and row["observed_at"] >= current
    ]
    return {
        "start": plain(start),
        "open_usd": plain(prices[0]),
        "high_usd": plain(max(prices)),
        "low_usd": plain(min(prices)),
        "close_usd": plain(prices[-1]),
        "sample_count": len(priced),
        "sources": sorted({row["source"] for row in priced}),
        "volume_24h_usd": plain(volumes[-1]) if volumes else None,
        "first_observed_at": plain(priced[0]["observed_at"]),
        "last_observed_at": plain(priced[-1]["observed_at"]),
    }


WINDOWS = st.tuples(st.sampled_from(INSTANTS), st.integers(0, 20), st.integers(1, 40))


@FEW
@given(HISTORIES, SELECTIONS, WINDOWS, st.data())
def test_candles_are_made_of_every_price_of_their_interval(
    engine, client, rows, selection, window, data
):
    store(engine, rows)
    interval, page_size = data.draw(st.sampled_from(INTERVALS)), data.draw(st.integers(1, 40))
    minutes = {"5m": 4, "15m": 11, "1h": 50, "4h": 300}.get(interval, 1500)
    start = MONDAY + window[0] - window[1] * timedelta(minutes=minutes)
    end = start + (window[1] + window[2]) * timedelta(minutes=minutes)

    query = {name: written(value) for name, value in selection.items()}
    found, pages = walk(
        client,
        start=start.isoformat(),
        end=end.isoformat(),
        interval=interval,
        page_size=page_size,
        **query,
    )

    expected, begins = [], begin_of(interval, start)
    while begins < end:
        ends = next_of(interval, begins)
        expected.append(candle(begins, chosen(rows, begins, ends, **selection)))
        begins = ends
    assert found == expected
    assert all(page["meta"]["count"] == page_size for page in pages[:-1])
    assert pages[0]["meta"]["start"] == plain(begin_of(interval, start))
    assert pages[-1]["meta"]["end"] == plain(begins)


def test_at_one_instant_the_order_is_source_id_and_hash(engine, client):
    def row(listing, minute, price, **more):
        source, external_id = LISTINGS[listing]
        return {
            "source": source,
            "external_id": external_id,
            "observed_at": MONDAY + timedelta(minutes=minute),
            "ingested_at": NOON,
            "payload_hash": bytes([more.get("revision", 0)]) * 16,
            "run_id": 1,
            "price_usd": Decimal(price),
            "volume_24h_usd": more.get("volume"),
        }

    rows = [
        *(row(0, 0, 12, revision=1), row(0, 0, 11), row(1, 0, 13), row(3, 0, 14)),
        *(row(0, 1, 21, volume=Decimal(1)), row(2, 1, 22, volume=Decimal(2)), row(3, 1, 5)),
        *(row(1, 2, 31), row(2, 2, 32, revision=2), row(2, 2, 33, revision=1), row(0, 2, 99)),
    ]
    store(engine, rows)

    [found] = ask(
        client,
        interval="5m",
        decimals="string",
        start=MONDAY.isoformat(),
        end=(MONDAY + timedelta(minutes=5)).isoformat(),
    )["data"]

    assert found == candle(MONDAY, sorted(rows, key=place))
    assert (found["open_usd"], found["close_usd"]) == ("11", "32")
    assert (found["low_usd"], found["high_usd"], found["volume_24h_usd"]) == ("5", "99", "2")
