import pytest
from sqlalchemy import Engine, text

from tests.fakes.batches import COINGECKO, COINPAPRIKA, EARLIER, LATER, load, market, ticker
from tests.fakes.cases import sparse
from worker.maintenance.reprocess import reprocess
from worker.maintenance.verify import verify


@pytest.fixture
def loaded(engine: Engine) -> Engine:
    """Two assets at two sources, one of them observed twice, and a reject."""
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 1, EARLIER))
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 2, LATER))
    load(engine, COINGECKO, market("ethereum", "eth", "Ethereum", 3), market("x", "x", ""))
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin", 2))
    assert not verify(engine).findings
    return engine


SOURCES = (COINGECKO, COINPAPRIKA)

MENDED = {
    "a missing observation": (
        "DELETE FROM observations WHERE observed_at = (SELECT min(observed_at) FROM observations)",
        "raw_has_its_observation (coingecko)",
    ),
    "an observation with another price": (
        "UPDATE observations SET price_usd = price_usd + 1",
        "listings_show_their_newest",
    ),
    "an older observation with another price": (
        "UPDATE observations SET price_usd = 9 WHERE price_usd = 1",
        "observations_say_what_raw_says (coingecko)",
    ),
    "a listing and an asset under another name": (
        """WITH renamed AS (UPDATE assets SET name = 'Evil' WHERE slug = 'ethereum')
           UPDATE listings SET name = 'Evil', name_key = 'evil' WHERE external_id = 'ethereum'""",
        "listings_are_called_what_raw_says (coingecko)",
    ),
    "an observation that no raw record stands behind": (
        """INSERT INTO observations (listing_id, observed_at, payload_hash, run_id)
           SELECT id, observed_at, '\\x00', run_id FROM listings
           WHERE external_id = 'ethereum'""",
        "observations_have_their_raw (coingecko)",
    ),
    "a listing that shows an older value": (
        """UPDATE listings AS l SET observed_at = o.observed_at, payload_hash = o.payload_hash,
           price_usd = o.price_usd, run_id = o.run_id FROM observations AS o
           WHERE o.listing_id = l.id AND o.price_usd = 1""",
        "listings_show_their_newest",
    ),
    "a listing that shows a newer value than there is": (
        "UPDATE listings SET observed_at = observed_at + interval '1 day'",
        "listings_show_their_newest",
    ),
    "an asset that shows an older value": (
        "UPDATE assets SET price_usd = 1 WHERE slug = 'bitcoin'",
        "assets_show_their_listings",
    ),
    "an asset that no listing is": (
        "INSERT INTO assets (slug, symbol, name) VALUES ('ghost', 'GHO', 'Ghost')",
        "assets_have_listings",
    ),
    "an asset whose value is said to be another listing's": (
        """UPDATE assets SET price_usd_listing_id = (
             SELECT max(id) FROM listings WHERE asset_id <> assets.id)
           WHERE slug = 'bitcoin'""",
        "assets_show_their_listings",
    ),
    "an asset that counts another number of sources": (
        "UPDATE assets SET source_count = 9 WHERE slug = 'ethereum'",
        "assets_show_their_listings",
    ),
    "two listings that swapped their assets": (
        """UPDATE listings AS l SET asset_id = o.asset_id FROM listings AS o
           WHERE l.source = 'coingecko' AND o.source = 'coingecko' AND l.id <> o.id""",
        "links_follow_the_rule",
    ),
    "two listings of one coin in two assets": (
        """WITH torn AS (INSERT INTO assets (slug, symbol, name)
                         VALUES ('bitcoin~torn', 'BTC', 'Bitcoin') RETURNING id)
           UPDATE listings SET asset_id = torn.id FROM torn WHERE external_id = 'btc-bitcoin'""",
        "links_follow_the_rule",
    ),
    "a match that is gone": ("DELETE FROM matches", "matches_follow_the_rule"),
    "a match on other evidence": (
        "UPDATE matches SET evidence = '{}', verdict = 'review'",
        "matches_follow_the_rule",
    ),
    "a match of listings that there are not": (
        """INSERT INTO matches (listing_id, other_listing_id, method, score,
                                verdict, prices, evidence)
           VALUES (998, 999, 'contract', 1, 'linked', 'unknown', '{}')""",
        "matches_follow_the_rule",
    ),
    "a link that the rule does not give": (
        "UPDATE listings SET asset_id = (SELECT min(id) FROM assets)",
        "links_follow_the_rule",
    ),
}

NAMED = {
    "a payload that was changed": (
        "UPDATE raw_coingecko SET payload = payload || '{\"current_price\": 9}'",
        "raw_has_its_hash (coingecko)",
    ),
    "a run whose counts don't match what it stored": (
        "UPDATE runs SET records_fetched = 7, records_new = 7 WHERE source = 'coinpaprika'",
        "runs_stored_what_they_counted (coinpaprika)",
    ),
    "a run of which more prices jumped than were compared": (
        "UPDATE runs SET prices_jumped = prices_compared + 1 WHERE source = 'coingecko'",
        "runs_stored_what_they_counted (coingecko)",
    ),
    "a checkpoint that counts otherwise": (
        "UPDATE checkpoints SET records_fetched = 99 WHERE source = 'coingecko'",
        "checkpoints_add_up",
    ),
    "a reject that is gone": ("DELETE FROM rejects", "rejects_are_stored"),
    "a raw record that is gone": (
        "DELETE FROM raw_coingecko WHERE external_id = 'ethereum'",
        "observations_have_their_raw (coingecko)",
    ),
    "a run whose counters were changed alike": (
        """UPDATE runs SET records_fetched = records_fetched + 1,
           records_unchanged = records_unchanged + 1 WHERE id = 1""",
        "checkpoints_add_up",
    ),
    "a checkpoint that counts other batches": (
        "UPDATE checkpoints SET batches = 9 WHERE source = 'coinpaprika'",
        "checkpoints_add_up",
    ),
    "a checkpoint at another source's run": (
        "UPDATE checkpoints SET run_id = 4 WHERE source = 'coingecko'",
        "checkpoints_have_their_run",
    ),
    "a run that ended at no time": (
        "UPDATE runs SET outcome = 'succeeded', finished_at = NULL WHERE id = 2",
        "runs_are_closed",
    ),
    "a run that ended before it began": (
        """UPDATE runs SET outcome = 'failed', finished_at = started_at - interval '1 s'
           WHERE id = 2""",
        "runs_are_closed",
    ),
    "a version above all that were given": (
        "UPDATE assets SET version = 999999 WHERE slug = 'bitcoin'",
        "versions_were_drawn",
    ),
    "a reject seen last before it was seen first": (
        "UPDATE rejects SET first_run_id = 3, last_run_id = 2",
        "rejects_are_sound",
    ),
    "a reject of a run that there is not": (
        "UPDATE rejects SET last_run_id = 77",
        "rejects_are_sound",
    ),
    "a reject with another payload": (
        "UPDATE rejects SET payload = 'other'",
        "rejects_are_sound",
    ),
    "an observation of no listing": (
        """INSERT INTO observations (listing_id, observed_at, payload_hash, run_id)
           VALUES (999, now(), '\\x00', 1)""",
        "observations_have_listings",
    ),
}


ROWS = {
    "a missing observation": "coingecko:bitcoin",
    "an observation with another price": "coingecko:ethereum",
    "an older observation with another price": "coingecko:bitcoin",
    "a listing and an asset under another name": "coingecko:ethereum",
    "an observation that no raw record stands behind": "coingecko:ethereum",
    "a listing that shows an older value": "coingecko:bitcoin",
    "a listing that shows a newer value than there is": "coingecko:ethereum",
    "an asset that shows an older value": "asset bitcoin",
    "an asset that no listing is": "asset ghost",
    "an asset whose value is said to be another listing's": "asset bitcoin",
    "an asset that counts another number of sources": "asset ethereum",
    "two listings that swapped their assets": "coinpaprika:btc-bitcoin",
    "two listings of one coin in two assets": "coinpaprika:btc-bitcoin",
    "a match that is gone": "coingecko:bitcoin and coinpaprika:btc-bitcoin",
    "a match on other evidence": "coingecko:bitcoin and coinpaprika:btc-bitcoin",
    "a match of listings that there are not": "match of no listing",
    "a link that the rule does not give": "coingecko:ethereum",
    "a payload that was changed": "coingecko:ethereum",
    "a raw record that is gone": "coingecko:ethereum",
    "a run whose counts don't match what it stored": "run 4",
    "a run of which more prices jumped than were compared": "run 1: compared 0",
    "a run whose counters were changed alike": "coingecko",
    "a checkpoint that counts otherwise": "coingecko",
    "a checkpoint that counts other batches": "coinpaprika",
    "a checkpoint at another source's run": "coingecko",
    "a run that ended at no time": "run 2",
    "a run that ended before it began": "run 2",
    "a version above all that were given": "asset bitcoin",
    "a reject that is gone": "coingecko",
    "a reject seen last before it was seen first": "reject 1",
    "a reject of a run that there is not": "reject 1",
    "a reject with another payload": "reject 1",
    "an observation of no listing": "observation 999",
}

DAMAGES = {**MENDED, **NAMED}


def damage(engine: Engine, statement: str) -> None:
    with engine.begin() as conn:
        assert conn.execute(text(statement.replace(":", "\\:"))).rowcount


def assert_found(engine: Engine, case: str) -> None:
    """Check that `verify` names the row of a damage."""
    check = DAMAGES[case][1]
    findings = {finding.check: finding for finding in verify(engine, SOURCES).findings}
    assert check in findings
    assert findings[check].count >= 1
    assert any(ROWS[case] in row for row in findings[check].rows), findings[check].rows


@pytest.mark.parametrize("case", sparse(NAMED, 4))
def test_verify_finds_planted_damage_and_names_the_row(loaded: Engine, case: str):
    damage(loaded, NAMED[case][0])

    assert_found(loaded, case)


@pytest.mark.parametrize("case", sparse(MENDED, 4))
def test_verify_finds_rows_that_do_not_follow_from_raw_and_reprocess_repairs_them(
    loaded: Engine, case: str
):
    before = verify(loaded, SOURCES).fingerprint

    damage(loaded, MENDED[case][0])
    assert_found(loaded, case)
    for source in (COINGECKO, COINPAPRIKA):
        reprocess(loaded, source)

    report = verify(loaded, SOURCES)
    assert report.findings == ()
    assert report.fingerprint == before


def test_reprocess_of_a_sound_database_changes_nothing_that_a_reader_sees(loaded: Engine):
    def seen() -> object:
        with loaded.connect() as conn:
            return conn.execute(text("SELECT id, slug, version, updated_at FROM assets")).all()

    before = seen()

    assert reprocess(loaded, COINGECKO).read == 3
    assert seen() == before


def test_reprocess_rebuilds_everything_from_raw_alone(loaded: Engine):
    before = verify(loaded, SOURCES).fingerprint
    with loaded.begin() as conn:
        conn.execute(text("TRUNCATE observations, listings, assets"))

    for source in (COINPAPRIKA, COINGECKO):
        reprocess(loaded, source)

    assert verify(loaded, SOURCES).fingerprint == before
