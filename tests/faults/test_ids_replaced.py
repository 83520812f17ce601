"""A provider replaces its ids, for one pass or for good: delisted ids are no namesakes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select

from shared.model.catalogue import EXPECTATIONS
from shared.schema.market import listings
from tests.fakes.glitches import IDS, KINDS, GlitchyMarket, Links, read_links
from tests.fakes.runner import Runner, adapter
from tests.fakes.upstream import Upstream
from worker.curation.review import count_pending
from worker.ingest.runs import journal
from worker.ingest.runs.options import Result
from worker.maintenance.reprocess import reprocess
from worker.maintenance.verify import verify

SIZE = 60
RULE = EXPECTATIONS["coingecko"].delisted


@dataclass
class Scene:
    """Two sources that are read at times of a test's own."""

    engine: Engine
    upstream: Upstream
    now: datetime = datetime(2025, 3, 2, tzinfo=UTC)
    market: GlitchyMarket = field(default_factory=lambda: GlitchyMarket(SIZE))

    def __post_init__(self) -> None:
        self.upstream.market = self.market

    def run(self, source: str) -> Result:
        options = {"clock": lambda: self.now}
        return Runner(self.engine, self.upstream, source, options=options).run()

    def pass_by(self, passes: int = 1, hours: float = 3) -> list[str | None]:
        """Read both sources so often, so many hours apart; return the last runs' reasons."""
        for _ in range(passes):
            self.now += timedelta(hours=hours)
            self.market.tick(hours * 3600)
            reasons = [self.run(source).ending.reason for source in KINDS]
        return reasons

    def count_delisted(self) -> int:
        stmt = select(func.count()).where(listings.c.delisted_at.is_not(None))
        with self.engine.connect() as conn:
            return conn.scalar(stmt)


@pytest.fixture
def scene(engine: Engine) -> Iterator[Scene]:
    with Upstream() as upstream:
        yield Scene(engine, upstream)


def assert_sound(scene: Scene) -> None:
    """Nothing is damaged, and a rebuild changes nothing."""
    report = verify(scene.engine)
    assert report.findings == ()
    for source in KINDS:
        reprocess(scene.engine, adapter(source, scene.upstream))
    after = verify(scene.engine)
    assert (after.findings, after.fingerprint) == ((), report.fingerprint)


def replaced(ref: str, ids: dict[str, str]) -> str:
    """Name the listing that took an id's place."""
    source, _, external_id = ref.partition(":")
    return f"{source}:{ids[external_id]}" if source == "coingecko" else ref


def assert_taken_over(scene: Scene, before: Links) -> None:
    """New ids are what the old ones were: assets and slugs are the same."""
    ids = {coin.slug: f"{coin.slug}-{coin.number}x" for coin in scene.market.coins}
    after = read_links(scene.engine)
    assert after.pairs == {pair | {replaced(ref, ids) for ref in pair} for pair in before.pairs}
    assert {ref: after.slugs[ref] for ref in before.slugs} == before.slugs


def test_ids_that_came_for_one_pass_are_delisted_by_the_next_good_one_and_stay_apart(scene: Scene):
    scene.pass_by(2)
    before = read_links(scene.engine)
    scene.market.wrong["coingecko"] = IDS
    assert scene.pass_by() == ["ids_changed", None]
    scene.market.wrong.clear()

    assert scene.pass_by() == [None, None]

    assert scene.count_delisted() == SIZE
    with scene.engine.connect() as conn:
        assert count_pending(conn) == {}
    after = read_links(scene.engine)
    assert after.pairs == before.pairs
    assert {ref: after.slugs[ref] for ref in before.slugs} == before.slugs
    assert_sound(scene)


@pytest.mark.slow
def test_ids_that_changed_for_good_take_links_and_slugs_once_the_old_are_delisted(scene: Scene):
    scene.pass_by(2)
    before = read_links(scene.engine)
    assert len(before.pairs) > SIZE * 0.8
    scene.market.wrong["coingecko"] = IDS
    assert scene.pass_by() == ["ids_changed", None]
    assert journal.clear_checkpoint(scene.engine, "coingecko")

    assert scene.pass_by(RULE.snapshots) == [None, None]

    assert scene.count_delisted() == SIZE
    assert_taken_over(scene, before)
    assert_sound(scene)


@pytest.mark.slow
def test_ids_that_changed_and_are_back_after_they_were_delisted_are_as_before(scene: Scene):
    scene.pass_by(2)
    before = read_links(scene.engine)
    scene.market.wrong["coingecko"] = IDS
    scene.pass_by()
    assert journal.clear_checkpoint(scene.engine, "coingecko")
    scene.pass_by(RULE.snapshots)
    scene.market.wrong.clear()

    # The old ids are known: that they are back is no change of ids.
    assert scene.pass_by(RULE.snapshots + 1) == [None, None]

    assert scene.count_delisted() == SIZE
    after = read_links(scene.engine)
    assert {ref: after.slugs[ref] for ref in before.slugs} == before.slugs
    assert {pair & frozenset(before.slugs) for pair in after.pairs} >= before.pairs
    assert_sound(scene)
