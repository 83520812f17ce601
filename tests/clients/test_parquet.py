"""Exports as Parquet, read by pyarrow, pandas and DuckDB."""

import base64
import hashlib
from decimal import Decimal

import pytest

from tests.fakes.api import NOON, add_asset, api_on

pyarrow = pytest.importorskip("pyarrow", reason="needs the extra `clients`")
pytest.importorskip("pyarrow.parquet")

DIGITS = "123456789012345678901234567890.123456789012345678901234567890"


@pytest.fixture
def path(reader_url, engine, tmp_path):
    """An export of 2500 assets, which is three row groups."""
    with engine.begin() as conn:
        for number in range(2500):
            add_asset(conn, f"asset-{number}", market_cap_usd=number, observed_at=NOON)
        add_asset(
            conn, "many-digits", price_usd=Decimal(DIGITS), market_cap_usd=10_000, divergent=True
        )
    with api_on(reader_url) as client:
        response = client.get(
            "/data/export?format=parquet&fields=slug,price_usd,divergent,observed_at,version"
        )
    digest = base64.b64encode(hashlib.sha256(response.data).digest()).decode()
    assert response.headers["Repr-Digest"] == f"sha-256=:{digest}:"
    assert response.headers["X-Total-Count"] == "2501"
    file = tmp_path / "assets.parquet"
    file.write_bytes(response.data)
    return file


def test_a_parquet_export_has_every_row_and_every_digit(path):
    table = pyarrow.parquet.read_table(path)

    assert table.num_rows == 2501
    assert pyarrow.parquet.ParquetFile(path).num_row_groups == 3
    assert table.column_names == ["slug", "price_usd", "divergent", "observed_at", "version"]
    first = table.slice(0, 1).to_pylist()[0]
    assert (first["slug"], first["price_usd"]) == ("many-digits", DIGITS)
    assert table["divergent"][:2].to_pylist() == [True, False]
    assert table["observed_at"][1].as_py() == NOON
    assert table.schema.field("version").type == pyarrow.int64()


@pytest.mark.slow
def test_duckdb_reads_a_parquet_export(path):
    duckdb = pytest.importorskip("duckdb", reason="needs the extra `clients`")

    [(rows, digits)] = duckdb.sql(
        f"SELECT count(*), max(price_usd) FROM read_parquet('{path}')"
    ).fetchall()

    assert (rows, digits) == (2501, DIGITS)
