"""Assets of one and two listings, whose shorter query must agree with the candidates."""

from collections import defaultdict

import pytest
from sqlalchemy import Connection, Engine, text

from shared.model.records import VALUES
from shared.model.unified import TRUST, candidates_of, unified_of

SOURCES = (*TRUST, "another")
ASSETS = 500

AMOUNT = "(ARRAY[NULL, 0, 0.0, 1, 1.0, 1.05, 1.050001, 1.21, 3, 0.10, 1e-18]::numeric[])"
LISTINGS = text(f"""
CREATE TEMPORARY TABLE said ON COMMIT DROP AS
SELECT n AS id, n % {ASSETS} AS asset_id, n::text AS external_id, 's' || n AS symbol,
       'n' || n AS name, (CAST(:sources AS text[]))[1 + floor(random() * 4)] AS source,
       timestamptz '2026-01-01 12:00Z' - floor(random() * 3) * interval '40 minutes' AS observed_at,
       CASE WHEN random() < 0.2 THEN timestamptz '2026-01-02' + n * interval '1 s' END
         AS delisted_at,
       {", ".join(f"{AMOUNT}[1 + floor(random() * 11)] AS {value}" for value in VALUES)}
FROM generate_series(1, CAST(:listings AS integer)) AS n
""")


@pytest.fixture
def said(engine: Engine):
    with engine.begin() as conn:
        conn.execute(text("SELECT setseed(0.13)"))
        conn.execute(LISTINGS, {"sources": list(SOURCES), "listings": ASSETS + ASSETS // 2})
        yield conn


def ask(conn: Connection, query: str):
    return conn.execute(text(query.replace(":", r"\:"))).all()


def test_the_values_of_one_and_two_listings_are_those_of_the_most_trusted_source(said: Connection):
    candidates = defaultdict(list)
    for candidate in ask(said, candidates_of("said AS l")):
        candidates[candidate.asset_id, candidate.value].append(candidate)

    unified = ask(said, unified_of("said AS l"))

    assert len(unified) == ASSETS
    for asset in unified:
        by_value = {value: candidates[asset.asset_id, value] for value in VALUES}
        for value, current in by_value.items():
            best = min(current, key=lambda candidate: SOURCES.index(candidate.source), default=None)
            expected = (best.amount, best.id) if best else (None, None)
            found = getattr(asset, value), getattr(asset, f"{value}_listing_id")
            assert (*map(str, found),) == (*map(str, expected),)
        spread = max(
            (candidate.spread_percent for candidate in by_value["price_usd"]), default=None
        )
        assert str(asset.price_spread_percent) == str(spread)
        assert asset.divergent == any(
            each.divergent for current in by_value.values() for each in current
        )


def test_names_times_and_sources_of_two_listings_are_those_of_the_ones_that_count(said: Connection):
    listings = defaultdict(list)
    for listing in ask(said, "SELECT * FROM said ORDER BY source, external_id"):
        listings[listing.asset_id].append(listing)

    for asset in ask(said, unified_of("said AS l")):
        every = listings[asset.asset_id]
        listed = [each for each in every if each.delisted_at is None]
        count = listed or every
        sources = sorted({each.source for each in count})
        assert (asset.symbol, asset.name) == (count[0].symbol.upper(), count[0].name)
        assert (asset.sources, asset.source_count) == (sources, len(sources))
        assert asset.observed_at == max(each.observed_at for each in count)
        gone = None if listed else max(each.delisted_at for each in every)
        assert (asset.active, asset.delisted_at) == (bool(listed), gone)
