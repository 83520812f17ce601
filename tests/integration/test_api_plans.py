"""What the API's statements read depends on what is asked, not on what Postgres knows of tables."""

from sqlalchemy import text

from shared.embedded.server import READER
from tests.fakes.api import api_on
from tests.fakes.batches import COINGECKO, COINPAPRIKA, load
from tests.fakes.databases import WITHOUT_AUTOVACUUM, database_copy, engine_on
from tests.fakes.market import Market
from tests.fakes.plans import read_by_statement

COINS = 2000
"""So many that reading a whole table is no way to look up one row."""

BATCH = 500
WITHIN = 1.5
SMALL = 30
"""How many rows, or pages, more or fewer are no difference."""

FORGET = [
    text("DELETE FROM pg_statistic"),
    text(
        "UPDATE pg_class SET reltuples = -1, relpages = 0 "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'i')"
    ),
]
ANALYZE = [text("ANALYZE")]

WORDS = ("assets", "listings", "observations", "runs", "rejects", "drift", "checkpoints")

ONE = 400
WHOLE = 4000
"""How many pages are read at most for what concerns few rows, and for what looks through all."""


def requests(slug: str, since: int) -> dict[str, int]:
    """Name what is asked, and how many pages may be read for it."""
    return {
        "/data?page_size=20": ONE,
        "/data?page_size=20&sort=name": WHOLE,
        "/data?page_size=20&q=basalt": WHOLE,
        f"/data?page_size=20&q={slug}": ONE,
        "/data?page_size=20&q=a": WHOLE,
        "/data?page_size=20&symbol=BTC,ETH": ONE,
        "/data?page_size=20&min_price_usd=1": WHOLE,
        f"/data/{slug}": ONE,
        f"/data/{slug}/history": ONE,
        f"/data/{slug}/raw": ONE,
        f"/trends?assets={slug}": ONE,
        f"/changes?since={since}&page_size=100": ONE,
        "/runs": ONE,
        "/runs/1": ONE,
        "/runs/days": ONE,
        "/rejects": ONE,
        "/rejects/reasons": WHOLE,
        "/drift": ONE,
        "/reviews?open=true": WHOLE,
        "/health": ONE,
        "/stats": WHOLE,
    }


def run(engine, statements):
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        for statement in statements:
            conn.execute(statement)


def is_alike(numbers):
    return max(numbers) <= min(numbers) * WITHIN + SMALL


def fill(engine):
    market = Market(COINS)
    for _ in range(2):
        for source, render in ((COINGECKO, market.market), (COINPAPRIKA, market.ticker)):
            for at in range(0, COINS, BATCH):
                load(engine, source, *map(render, market.coins[at : at + BATCH]))
        market.tick()


def test_what_a_request_reads_does_not_hang_on_statistics(
    server, maintenance_engine, template_database
):
    with (
        database_copy(maintenance_engine, server.url, template_database) as url,
        engine_on(url) as engine,
    ):
        run(engine, [WITHOUT_AUTOVACUUM, *ANALYZE])
        fill(engine)
        with engine.connect() as conn:
            slug = conn.scalar(text("SELECT slug FROM assets ORDER BY id OFFSET 700 LIMIT 1"))
            since = conn.scalar(text("SELECT max(version) - 20 FROM assets"))
        read: dict[str, dict[str, list[tuple[int, int]]]] = {}
        for statements in ([], FORGET, ANALYZE):
            run(engine, statements)
            with api_on(url.set(username=READER), API_CACHE_MB="0") as client:
                for path, most in requests(slug, since).items():
                    client.get(path)
                    counts = read_by_statement(engine, client, path, {}, WORDS)
                    assert 0 < sum(pages for _, pages in counts.values()) <= most, (path, counts)
                    for statement, count in counts.items():
                        read.setdefault(path, {}).setdefault(statement, []).append(count)

    # By statement: the sources are judged anew from time to time, by whatever request comes then.
    for path, counts in read.items():
        for statement, of_each in counts.items():
            rows, pages = zip(*of_each, strict=True)
            # A table of few pages may be read whole, and an index page again for each row.
            assert is_alike(rows) or is_alike(pages), (path, statement, of_each)
