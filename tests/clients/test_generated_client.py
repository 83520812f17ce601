"""A client that openapi-python-client makes of the live description."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.gunicorn import PROJECT

pytest.importorskip(
    "openapi_python_client",
    reason="openapi-python-client is not installed; it is in the extra clients",
)

GIVE_UP = 120


def run(*command, cwd):
    ran = subprocess.run(
        command,
        cwd=cwd,
        env={"PYTHONPATH": str(cwd), "HOME": str(cwd), "PYTHONWARNINGS": "default"},
        capture_output=True,
        text=True,
        timeout=GIVE_UP,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_it_pages_through_the_assets_and_reads_one(market, assets, tmp_path):
    (tmp_path / "config.yml").write_text("post_hooks: []\n")
    generator = Path(sys.executable).with_name("openapi-python-client")
    made = run(
        *(generator, "generate", "--url", f"{market.url}/openapi.json", "--meta", "none"),
        *("--output-path", "market", "--config", "config.yml", "--fail-on-warning"),
        cwd=tmp_path,
    )
    assert "rror" not in made

    script = PROJECT / "tests/clients/generated_client.py"
    told = json.loads(run(sys.executable, script, market.url, cwd=tmp_path))
    assert told["pages"] == 7
    assert {*told["slugs"]} == {*assets}
    assert len(told["slugs"]) == len(assets)
    assert told["symbol"] == "BTC"
    assert told["sources"] == ["coingecko", "coinpaprika", "csv"]
    assert told["problem"] == "asset_not_found"
