"""A server with the loads of `worker/README.md`, for programs that others wrote."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from shared.embedded.server import READER, RunningServer
from tests.fakes.gunicorn import PROJECT, Gunicorn, serving
from tests.fakes.processes import environ, run_worker

DATA = PROJECT / "data"
LOADS = (
    f"import coingecko '{DATA / 'coingecko_markets.json'}'",
    f"import coingecko '{DATA / 'coingecko_markets.json'}'",
    f"import coinpaprika '{DATA / 'coinpaprika_tickers.json'}'",
    "run --once --source csv",
)


@pytest.fixture(scope="session")
def market(
    server: RunningServer,
    maintenance_engine: Engine,
    template_database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gunicorn]:
    """The real server on 124 assets; no test changes them."""
    with maintenance_engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE clients TEMPLATE {template_database}"))
    owner = server.url.set(database="clients")
    folder = tmp_path_factory.mktemp("market")
    for load in LOADS:
        ran = run_worker(load, environ(owner, CSV_PATH=DATA / "sample.csv"), folder)
        assert ran.returncode == 0, ran.stderr
    with serving(owner.set(username=READER), folder) as gunicorn:
        yield gunicorn
    with maintenance_engine.connect() as connection:
        connection.execute(text("DROP DATABASE clients WITH (FORCE)"))


@pytest.fixture(scope="session")
def assets(market: Gunicorn) -> dict[str, dict[str, str | None]]:
    """Every asset by its slug, with every digit, as one page of the API shows them."""
    page = market.get("/data?page_size=1000&decimals=string").json()
    assert len(page["data"]) == page["meta"]["total"] == 124
    return {asset["slug"]: asset for asset in page["data"]}
