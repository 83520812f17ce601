"""Listings that a source lists no more, and those that it lists again."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, delete, func, select, update
from sqlalchemy.engine import URL

from shared.errors import InjectedFailureError
from shared.model.catalogue import EXPECTATIONS
from shared.schema.market import absences, assets, listings, observations, snapshot_pages
from tests.fakes.answers import edited, status
from tests.fakes.api import api_on
from tests.fakes.runner import Runner
from tests.fakes.upstream import Upstream
from worker.ingest.faults import Faults
from worker.maintenance.reprocess import reprocess
from worker.maintenance.verify import verify
from worker.sources.coingecko import Coingecko

START = datetime(2025, 3, 2, tzinfo=UTC)
RULE = EXPECTATIONS["coingecko"].delisted
PAGES = 3
GONE = 7
"""The place of the coin that is taken off, among the market's coins."""


class Desk:
    """A source that is read at times of a test's own."""

    def __init__(self, engine: Engine, upstream: Upstream) -> None:
        self.engine, self.upstream = engine, upstream
        self.now = START
        self.runner = Runner(engine, upstream, "coingecko", options={"clock": lambda: self.now})
        self.coin = upstream.market.coins[GONE]

    def pass_by(self, passes: int = 1, hours: float = 3, share: float = 1.0) -> str:
        """Read the market so often, so many hours apart; return how the last run ended."""
        for _ in range(passes):
            self.now += timedelta(hours=hours)
            self.upstream.market.tick(share=share)
            ended = self.runner.run()
        return ended.ending.outcome

    def take_off(self) -> None:
        self.upstream.market.coins.remove(self.coin)

    def put_back(self) -> None:
        self.upstream.market.coins.insert(GONE, self.coin)

    def delisted(self) -> dict[str, datetime]:
        with self.engine.connect() as conn:
            stmt = select(listings.c.external_id, listings.c.delisted_at)
            return dict(conn.execute(stmt.where(listings.c.delisted_at.is_not(None))).all())

    def asset(self):
        with self.engine.connect() as conn:
            stmt = select(assets).join(listings, listings.c.asset_id == assets.c.id)
            return conn.execute(stmt.where(listings.c.external_id == self.coin.slug)).one()


@pytest.fixture
def desk(engine: Engine) -> Iterator[Desk]:
    with Upstream(assets=300) as upstream:
        yield Desk(engine, upstream)


def test_a_listing_is_delisted_after_the_declared_snapshots_and_time(desk: Desk):
    desk.pass_by()
    listed = desk.asset()
    desk.take_off()

    desk.pass_by(RULE.snapshots - 1)
    assert desk.delisted() == {}
    desk.pass_by()

    assert desk.delisted() == {desk.coin.slug: desk.now}
    gone = desk.asset()
    assert (listed.active, listed.delisted_at, listed.price_usd is None) == (True, None, False)
    assert (gone.active, gone.delisted_at, gone.price_usd) == (False, desk.now, None)
    assert gone.price_observed_at is gone.market_cap_usd is None
    assert gone.observed_at == listed.observed_at
    assert gone.version > listed.version
    desk.runner.sound()


def test_as_many_snapshots_in_a_shorter_time_delist_nothing(desk: Desk):
    desk.pass_by()
    desk.take_off()

    desk.pass_by(2 * RULE.snapshots, hours=RULE.within / timedelta(hours=1) / 15)
    assert desk.delisted() == {}
    desk.pass_by(hours=RULE.within / timedelta(hours=1))

    assert set(desk.delisted()) == {desk.coin.slug}


def test_fewer_snapshots_in_a_longer_time_delist_nothing(desk: Desk):
    desk.pass_by()
    desk.take_off()

    desk.pass_by(RULE.snapshots - 1, hours=2 * RULE.within / timedelta(hours=1))
    assert desk.delisted() == {}
    desk.pass_by()

    assert set(desk.delisted()) == {desk.coin.slug}


def test_a_listing_that_returns_is_listed_again_and_its_time_away_stays_on_record(desk: Desk):
    desk.pass_by()
    listed = desk.asset()
    desk.take_off()
    desk.pass_by(RULE.snapshots)
    delisted_at = desk.now
    desk.put_back()

    desk.pass_by()

    assert desk.delisted() == {}
    back = desk.asset()
    assert (back.active, back.id, back.slug) == (True, listed.id, listed.slug)
    assert back.price_usd is not None
    with desk.engine.connect() as conn:
        spell = conn.execute(select(absences)).one()
        kept = select(func.count()).select_from(observations)
        observed = conn.scalar(
            kept.join(listings, listings.c.id == observations.c.listing_id).where(
                listings.c.external_id == desk.coin.slug
            )
        )
    assert (spell.delisted_at, spell.returned_at) == (delisted_at, desk.now)
    assert observed == 2
    desk.runner.sound()


@pytest.mark.slow
def test_the_past_knows_each_time_that_a_listing_was_gone(desk: Desk, reader_url: URL):
    desk.pass_by()
    known = [(desk.now, True)]
    for _ in range(2):
        desk.take_off()
        desk.pass_by(RULE.snapshots)
        known.append((desk.now, False))
        desk.put_back()
        desk.pass_by()
        known.append((desk.now, True))

    slug = desk.asset().slug
    with api_on(reader_url) as client:
        for moment, active in known:
            asked = {"as_of": moment.isoformat(), "page_size": 1000, "fields": "slug,active"}
            shown = client.get("/data", query_string=asked).json["data"]
            assert {"slug": slug, "active": active} in shown


@pytest.mark.slow
def test_one_that_returns_in_time_was_never_away(desk: Desk):
    desk.pass_by()
    desk.take_off()
    desk.pass_by(RULE.snapshots - 1)
    desk.put_back()
    desk.pass_by()
    desk.take_off()

    desk.pass_by(RULE.snapshots - 1)

    assert desk.delisted() == {}


def test_runs_that_are_partial_or_fail_say_nothing_of_what_is_gone(desk: Desk):
    desk.pass_by()
    desk.take_off()
    third = desk.upstream.market.coins[150:]

    for _ in range(RULE.snapshots + 1):
        del desk.upstream.market.coins[150:]
        assert desk.pass_by() == "partial"
        desk.upstream.market.coins += third
        desk.upstream.answers(edited(lambda body: body), status(404))
        assert desk.pass_by() == "failed"

    assert desk.delisted() == {}
    with desk.engine.connect() as conn:
        assert conn.execute(select(absences)).all() == []


def test_pages_that_were_not_modified_hold_what_they_held(desk: Desk):
    desk.pass_by()

    desk.pass_by(RULE.snapshots + 1, share=0)

    assert desk.runner.last_run().pages_not_modified == PAGES
    assert desk.delisted() == {}
    with desk.engine.connect() as conn:
        assert conn.execute(select(absences)).all() == []


def test_a_page_of_which_nothing_is_known_is_asked_for_in_full(desk: Desk):
    desk.pass_by()
    with desk.engine.begin() as conn:
        conn.execute(delete(snapshot_pages))

    desk.pass_by(RULE.snapshots, share=0)

    assert desk.runner.last_run().pages_not_modified == PAGES
    assert desk.delisted() == {}


def test_a_page_whose_stored_ids_are_of_an_answer_without_etag_is_asked_for_in_full(desk: Desk):
    desk.pass_by()

    desk.take_off()
    desk.upstream.etags = False
    desk.pass_by(share=0)
    desk.put_back()
    desk.upstream.etags = True

    desk.pass_by(RULE.snapshots, share=0)

    assert desk.runner.last_run().pages_not_modified == PAGES
    assert desk.delisted() == {}


@pytest.mark.slow
def test_pages_of_a_walk_that_began_anew_show_nothing_to_be_listed(desk: Desk):
    desk.pass_by()
    by_id = sorted(desk.upstream.market.coins, key=lambda coin: coin.slug)
    desk.coin = by_id[160]
    for _ in range(RULE.snapshots):
        desk.upstream.page_cap = 50
        desk.upstream.answers(status(404), page=5)
        assert desk.pass_by() == "failed"
        desk.take_off()
        desk.upstream.page_cap = 250
        assert desk.pass_by(hours=0) == "succeeded"
        desk.put_back()

    assert set(desk.delisted()) == {desk.coin.slug}
    desk.runner.sound()


def test_a_refused_record_shows_that_its_listing_is_listed(desk: Desk):
    desk.pass_by()

    def refuse(body: bytes) -> bytes:
        page = json.loads(body)
        for record in page:
            if record["id"] == desk.coin.slug:
                record["current_price"] = "broken"
        return json.dumps(page).encode()

    for _ in range(RULE.snapshots):
        desk.upstream.answers(edited(refuse), edited(refuse))
        assert desk.pass_by() == "succeeded"

    assert desk.runner.last_run().records_rejected > 0
    assert desk.delisted() == {}


@pytest.mark.slow
def test_a_snapshot_that_took_two_runs_counts_once_with_all_its_pages(desk: Desk):
    desk.pass_by()
    desk.take_off()
    for _ in range(RULE.snapshots):
        desk.now += timedelta(hours=3)
        desk.upstream.market.tick()
        desk.upstream.answers(edited(lambda body: body), status(404))
        desk.runner.run()
        assert desk.delisted() == {}
        assert desk.runner.run().succeeded

    assert set(desk.delisted()) == {desk.coin.slug}
    assert desk.runner.checkpoint().snapshots == 1 + RULE.snapshots


def test_a_run_that_is_killed_as_it_ends_leaves_nothing_of_its_delisting(desk: Desk):
    class Killed(Faults):
        def of_batch(self, source, read):  # noqa: ARG002
            def at(point):
                if point == "before_run_end":
                    raise InjectedFailureError(point)

            return at

    desk.pass_by()
    desk.take_off()
    desk.pass_by(RULE.snapshots - 1)
    desk.runner.options = {**desk.runner.options, "faults": Killed()}
    with pytest.raises(InjectedFailureError):
        desk.pass_by()
    assert desk.delisted() == {}
    assert desk.asset().active
    desk.runner.options = {"clock": lambda: desk.now}

    desk.pass_by()

    assert set(desk.delisted()) == {desk.coin.slug}
    desk.runner.sound()


def test_a_rebuild_keeps_what_is_delisted_and_verify_finds_what_is_not(desk: Desk):
    desk.pass_by()
    desk.take_off()
    desk.pass_by(RULE.snapshots)
    before = desk.runner.sound().fingerprint

    reprocess(desk.engine, Coingecko(base_url="http://127.0.0.1", requests_per_minute=1))
    assert desk.runner.sound().fingerprint == before
    with desk.engine.begin() as conn:
        conn.execute(update(listings).values(delisted_at=None))

    found = {finding.check for finding in verify(desk.engine).findings}
    assert "listings_are_delisted_as_recorded" in found
    reprocess(desk.engine, Coingecko(base_url="http://127.0.0.1", requests_per_minute=1))
    assert desk.runner.sound().fingerprint == before
