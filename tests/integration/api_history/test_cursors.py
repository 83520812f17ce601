"""A cursor of an asset's history belongs to every parameter that decides on what is listed."""

import pytest

from tests.fakes.batches import COINGECKO, load, market

PATH = "/data/bitcoin/history"
TEN, ELEVEN, TWELVE = (f"2026-01-02T{hour}:00:00Z" for hour in (10, 11, 12))


@pytest.mark.parametrize("interval", [None, "1h"])
@pytest.mark.parametrize(
    "other",
    [
        {"source": "coingecko"},
        {"external_id": "bitcoin"},
        {"known_at": TWELVE},
        {"end": TWELVE},
        {"start": ELEVEN},
        {"interval": "5m"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_cursor_belongs_to_each_parameter_by_itself(engine, client, interval, other):
    times = (TEN, ELEVEN, TWELVE)
    load(engine, COINGECKO, *(market("bitcoin", "btc", "Bitcoin", 1, time) for time in times))
    query = {"start": TEN} if interval is None else {"start": TEN, "interval": interval}
    first = client.get(PATH, query_string={**query, "page_size": 1})
    cursor = first.json["meta"]["next_cursor"]

    # Nothing but this one parameter is another.
    refused = client.get(PATH, query_string={**query, **other, "cursor": cursor})
    rest = client.get(PATH, query_string={**query, "cursor": cursor})

    assert refused.status_code == 400
    assert [error["parameter"] for error in refused.json["errors"]] == ["cursor"]
    assert "belongs to a query with other parameters" in refused.json["errors"][0]["detail"]
    assert rest.status_code == 200
    assert rest.json["meta"]["count"] == 2
