"""Exports of more rows than are fetched at once."""

from sqlalchemy import text

GZIP = {"Accept-Encoding": "gzip"}
MANY = 2500
"""More than are fetched at once."""

# Names are indexed by their three characters: these have few, so that adding costs little.
ADD_MANY = text(
    "INSERT INTO assets (slug, symbol, name, price_usd, market_cap_usd) "
    "SELECT 'a-' || n, 'S' || n % 7, 'coin ' || n || E'\\r\\n=\"x\"', "
    "       CASE WHEN n % 3 > 0 THEN n / 7.0 END, n % 100 FROM generate_series(1, :many) AS n"
)


def begin(client, path="/data/export?format=ndjson", **options):
    """Ask for an export, and take its first part alone."""
    answer = client.get(path, buffered=False, **options)
    assert answer.status_code == 200
    parts = answer.iter_encoded()
    return answer, next(parts), parts


def busy(client):
    return client.application.extensions["database"].engine.pool.checkedout()
