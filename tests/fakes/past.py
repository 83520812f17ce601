"""Three instants of one day, an asset, and the API's answers as of an instant."""

from tests.fakes.batches import market

TEN, ELEVEN, TWELVE = (f"2026-01-02T{hour}:00:00Z" for hour in (10, 11, 12))


def ask(client, path="/data", **query):
    answer = client.get(path, query_string=query)
    assert answer.status_code == 200, answer.text
    return answer.json


def prices(client, **query):
    return {row["slug"]: row["price_usd"] for row in ask(client, **query)["data"]}


def dogecoin(price, at):
    return market("dogecoin", "doge", "Dogecoin", price, at)
