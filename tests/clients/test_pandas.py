"""pandas' readers, straight from a URL."""

from decimal import Decimal

import pytest

pd = pytest.importorskip("pandas", reason="pandas is not installed; it is in the extra clients")


def digits(frame, assets, column):
    """Compare a column of a frame with the API's own numbers."""
    read = {slug: None if pd.isna(v) else v for slug, v in frame[column].items()}
    known = {slug: asset[column] for slug, asset in assets.items()}
    return read, known


@pytest.mark.parametrize("path", ["/data?format=csv&page_size=1000", "/data/export?format=csv"])
def test_csv(market, assets, path):
    frame = pd.read_csv(market.url + path, index_col="slug")

    assert {*frame.index} == {*assets}
    assert frame["price_usd"].dtype == "float64"
    for column in ("price_usd", "market_cap_usd", "max_supply"):
        read, known = digits(frame, assets, column)
        assert read == {slug: None if v is None else float(v) for slug, v in known.items()}


def test_csv_with_every_digit(market, assets):
    frame = pd.read_csv(f"{market.url}/data/export?format=csv", index_col="slug", dtype=str)

    read, known = digits(frame, assets, "price_usd")
    assert {slug: v and Decimal(v) for slug, v in read.items()} == {
        slug: v and Decimal(v) for slug, v in known.items()
    }


@pytest.mark.parametrize(
    "path", ["/data?format=ndjson&page_size=1000", "/data/export?format=ndjson"]
)
def test_ndjson(market, assets, path):
    frame = pd.read_json(market.url + path, lines=True)

    assert {*frame["slug"]} == {*assets}
    assert str(pd.to_datetime(frame["observed_at"], format="ISO8601").dt.tz) == "UTC"


def test_json(market, assets):
    page = pd.read_json(f"{market.url}/data?page_size=1000", orient="index", typ="series")
    frame = pd.DataFrame(page["data"])

    assert {*frame["slug"]} == {*assets}
