"""Every benchmark runs, with so little that its figures mean nothing."""

import os
import subprocess
import sys

import pytest

from tests.fakes.gunicorn import PROJECT

BENCHES = {
    "ingest": (
        {
            "ONLY": "limit,ours,stale,crowd",
            "POSTGRES": "18",
            "RECORDS": "200",
            "ROUNDS": "1",
            "CROWDS": "40",
        },
        ["COPY: new", "ours: unchanged", "ours, stale statistics: new", "ours, 40 of a symbol"],
    ),
    "api": (
        {"ONLY": "limit,warm,q,page-asset", "ROUNDS": "1", "SECONDS": "1", "ASSETS": "200"},
        ["first page, warm", "the page of an asset"],
    ),
    "history": (
        {"SIZES": "2000", "SECONDS": "1"},
        ["the page of that asset", "the top 100 as of a past day"],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("bench", BENCHES)
def test_a_benchmark_runs_and_shows_what_it_measured(bench, tmp_path):
    settings, shown = BENCHES[bench]
    ran = subprocess.run(
        [sys.executable, "-m", f"tests.bench.{bench}"],
        cwd=PROJECT,
        env={**os.environ, **settings, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert "FAILED" not in ran.stdout + ran.stderr
    for each in shown:
        assert each in ran.stdout
