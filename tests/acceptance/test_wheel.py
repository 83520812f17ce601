"""The wheel by itself: built, installed into an environment of its own, and started elsewhere."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.fakes.local_start import Starter, ends_with_nobody_in, free_port, starts_in

PROJECT = Path(__file__).resolve().parent.parent.parent
PARTS = ("api", "data", "migrations", "shared", "worker")
FILES = ("LICENSE", "README.md", "constraints.txt", "pyproject.toml")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The `worker` command of an environment that has the wheel alone, with the extra `local`."""
    source = tmp_path / "source"
    for part in PARTS:
        shutil.copytree(PROJECT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        shutil.copy(PROJECT / file, source)
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    pip = [str(environment / "bin/pip"), "--quiet", "--disable-pip-version-check"]
    constrained = ["--constraint", str(PROJECT / "constraints.txt")]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(source)], check=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([*pip, "install", *constrained, f"{wheel}[local]"], check=True)
    shutil.rmtree(source)
    return environment / "bin/worker"


@pytest.fixture
def start(installed: Path, empty_project: Path) -> Iterator[Starter]:
    yield from starts_in(empty_project, free_port(), [str(installed), "local"])
    assert ends_with_nobody_in(empty_project)


def test_installed_elsewhere_it_serves_the_sample(start: Starter, empty_project: Path):
    started = start()
    said = started.until("Press Ctrl-C to stop")

    assert f"in {empty_project}/.local/postgres/data" in said
    assert [asset["symbol"] for asset in started.get("/data?symbol=BTC")["data"]] == ["BTC"]

    address = f"http://127.0.0.1:{started.port}"
    page = requests.get(address, headers={"Accept": "text/html"}, timeout=60)
    [style] = re.findall(r'href="(/dashboard/static/page[^"]*)"', page.text)
    assert "Bitcoin" in page.text
    assert requests.get(address + style, timeout=60).ok

    started.process.terminate()
    assert started.end() == 0
