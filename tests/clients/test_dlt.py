"""dlt's REST API source, with its own paginators, into DuckDB."""

import os
import subprocess
import sys

import pytest

from tests.fakes.cases import sparse
from tests.fakes.gunicorn import PROJECT

pytest.importorskip("dlt", reason="dlt is not installed; it is in the extra clients")
duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed; it is in the extra clients")

GIVE_UP = 120
PAGES = 7


@pytest.mark.slow
@pytest.mark.parametrize("paging", sparse(["header", "cursor"], 2))
def test_every_asset_is_loaded_with_every_digit(market, assets, tmp_path, paging):
    before = len(market.lines())
    ran = subprocess.run(
        [sys.executable, PROJECT / "tests/clients/dlt_pipeline.py", market.url, tmp_path, paging],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=GIVE_UP,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr

    columns = ("slug", "symbol", "price_usd", "market_cap_usd", "max_supply")
    with duckdb.connect(str(tmp_path / "loaded.duckdb"), read_only=True) as db:
        rows = db.execute(f"SELECT {', '.join(columns)} FROM market.assets").fetchall()
    assert len(rows) == len(assets)
    assert {*rows} == {tuple(asset[name] for name in columns) for asset in assets.values()}
    asked = [line for line in market.lines()[before:] if line.get("route") == "/data"]
    assert len(asked) == PAGES
