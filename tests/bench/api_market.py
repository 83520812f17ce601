"""What the API is measured on: 20 000 assets, as the worker left them after a few runs."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from shared.settings import Settings
from tests.fakes.upstream import Upstream
from worker.app import Worker
from worker.maintenance.migrate import upgrade

LOADED = ("coingecko", "coinpaprika")
SHARED = 0.2
"""How large a share of the assets both sources list."""

RUNS = 3
"""The later ones change a third of the assets each, so that the tables have been updated."""

ANY_RATE = "1000000"


def load_market(url: URL, size: int) -> None:
    """Migrate a database, and let the worker run both sources on a market of so many assets."""
    upgrade(url)
    shared = int(size * SHARED)
    half = (size - shared) // 2
    with Upstream(size) as coingecko, Upstream(size) as coinpaprika:
        coingecko.market.coins = coingecko.market.coins[: half + shared]
        coinpaprika.market.coins = coinpaprika.market.coins[half:]
        environ = {
            "DATABASE_URL": url.render_as_string(hide_password=False),
            "COINGECKO_BASE_URL": coingecko.coingecko_url,
            "COINPAPRIKA_BASE_URL": coinpaprika.coinpaprika_url,
            "COINGECKO_REQUESTS_PER_MINUTE": ANY_RATE,
            "COINPAPRIKA_REQUESTS_PER_MINUTE": ANY_RATE,
        }
        worker = Worker(Settings.from_env(environ), url)
        for number in range(RUNS):
            for upstream in (coingecko, coinpaprika):
                _move(upstream, share=1 / 3 if number else 1)
            for name in LOADED:
                result = worker.run(name)
                if not result.succeeded or result.counts.rejected:
                    raise SystemExit(f"{name}: {result.ending}, {result.counts}")
        worker.engine.dispose()
    # What autovacuum would do within a minute, in the middle of what is measured.
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as conn:
        conn.execute(text("VACUUM (ANALYZE)"))
        conn.execute(text("CHECKPOINT"))


def count_assets(url: URL) -> Sequence[int]:
    """Count the assets, and those that more than one source lists."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as conn:
        return conn.execute(
            text("SELECT count(*), count(*) FILTER (WHERE source_count > 1) FROM assets")
        ).one()


def _move(upstream: Upstream, share: float) -> None:
    """Bring the market's clock to the present."""
    seconds = (datetime.now(UTC) - upstream.market.at).total_seconds()
    upstream.market.tick(max(seconds - 1, 0), share)
