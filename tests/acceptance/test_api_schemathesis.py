"""The real server against its own description, in the hands of schemathesis: every check on."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.document import read_document
from tests.fakes.gunicorn import PROJECT, serving
from tests.fakes.processes import environ, run_worker

CONFIGURATION = PROJECT / "tests" / "fakes" / "schemathesis.toml"
DATA = PROJECT / "data"
A_REJECT = "slug,symbol,name,price_usd,observed_at\nx,X,X,-1,2026-01-31T12:00:00Z\n"
GIVE_UP = 840
"""Seconds; less than the limit of `make test-slow`. A busy machine may take many minutes."""
KEYS_ALONE = ("--phases", "coverage,fuzzing", "--max-examples", "2")
"""What the requests ask is tried without keys; here it is who asks."""


def schemathesis(url, folder, *arguments, **environ):
    program = Path(sys.executable).with_name("schemathesis")
    return subprocess.run(
        [program, "--config-file", CONFIGURATION, "run", f"{url}/openapi.json", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **environ},
        capture_output=True,
        text=True,
        timeout=GIVE_UP,
        check=False,
    )


@pytest.fixture
def loaded(database_url, tmp_path):
    """A database with data of every source, two runs of one of them, and a reject."""
    (tmp_path / "bad.csv").write_text(A_REJECT)
    for load in (
        f"csv '{DATA / 'sample.csv'}'",
        f"csv '{tmp_path / 'bad.csv'}'",
        f"coingecko '{DATA / 'coingecko_markets.json'}'",
        f"coinpaprika '{DATA / 'coinpaprika_tickers.json'}'",
    ):
        run_worker(f"import {load}", environ(database_url), tmp_path)
    return environ(database_url)


PHASES = {
    "Examples": "examples",
    "Fuzzing": "fuzzing",
    "Coverage": "coverage",
    "Stateful": "stateful",
}


@pytest.mark.slow
@pytest.mark.usefixtures("loaded")
def test_no_request_gets_an_answer_that_is_not_described(reader_url, tmp_path):
    with serving(reader_url, tmp_path) as gunicorn:
        ran = schemathesis(gunicorn.url, tmp_path, "--phases", ",".join(PHASES.values()))

    assert ran.returncode == 0, ran.stdout
    assert "Missing test data" not in ran.stdout, ran.stdout
    tried = re.search(r"Operations:.*?Tested:\s+(\d+)", ran.stdout, re.DOTALL)
    assert tried, ran.stdout
    assert int(tried[1]) == len(read_document()["paths"])
    for phase in PHASES:
        assert phase in ran.stdout


@pytest.mark.slow
def test_where_keys_are_required_none_and_a_wrong_one_are_refused(loaded, reader_url, tmp_path):
    made = run_worker(
        "api-keys create schemathesis --scope data --scope export --scope operations",
        loaded,
        tmp_path,
    )
    key = made.stdout.strip()

    with serving(reader_url, tmp_path, API_KEYS_REQUIRED="true") as gunicorn:
        header = f"Authorization:Bearer {key}"
        ran = schemathesis(
            gunicorn.url, tmp_path, "--header", header, *KEYS_ALONE, KEY_OF_THE_API=key
        )

    assert ran.returncode == 0, ran.stdout
