"""DuckDB's readers, from downloaded exports."""

from decimal import Decimal

import pytest

duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed; it is in the extra clients")

TOTALS = "count(*), sum(price_usd::DECIMAL(38, 18)), count(max_supply), min(observed_at)::DATE"


def totals(assets):
    prices = [Decimal(asset["price_usd"]) for asset in assets.values() if asset["price_usd"]]
    supplies = [asset for asset in assets.values() if asset["max_supply"] is not None]
    first = min(asset["observed_at"] for asset in assets.values() if asset["observed_at"])
    return len(assets), sum(prices), len(supplies), first[:10]


@pytest.mark.parametrize(
    ("media", "reader"),
    [
        ("csv", "read_csv(?, types={'price_usd': 'VARCHAR'})"),
        ("ndjson", "read_json(?)"),
        ("parquet", "read_parquet(?)"),
    ],
)
def test_a_whole_export(market, assets, tmp_path, media, reader):
    if media == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow, which writes it, is not installed")
    numbers = "&decimals=string" if media == "ndjson" else ""
    path = tmp_path / f"assets.{media}"
    path.write_bytes(market.get(f"/data/export?format={media}{numbers}").content)

    with duckdb.connect() as db:
        count, price, supplies, first = db.execute(
            f"SELECT {TOTALS} FROM {reader}", [str(path)]
        ).fetchone()
    assert (count, price, supplies, first.isoformat()) == totals(assets)
