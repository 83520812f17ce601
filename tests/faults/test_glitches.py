"""What a provider gets wrong for one pass changes no identity, and is reported.

`python -m tests.bench.glitches` does the same with thousands of coins.
"""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, select

from shared.schema.identity import matches
from shared.schema.market import assets
from tests.fakes.cases import sparse
from tests.fakes.glitches import HOUR, IDS, PRICES, Links, Scene, open_scene, read_links
from tests.fakes.runner import adapter
from tests.fakes.upstream import Upstream
from worker.curation.review import read_reviews
from worker.ingest.runs import journal
from worker.maintenance.reprocess import reprocess
from worker.maintenance.verify import verify

SIZE = 100


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def assert_sound(scene: Scene, before: Links) -> None:
    """Links and slugs are those of before, nothing is damaged, and a rebuild changes nothing."""
    after = read_links(scene.engine)
    assert after.pairs == before.pairs
    assert {ref: after.slugs[ref] for ref in before.slugs} == before.slugs
    report = verify(scene.engine)
    assert report.findings == ()
    for source in ("coingecko", "coinpaprika"):
        reprocess(scene.engine, adapter(source, scene.upstream))
    assert verify(scene.engine).fingerprint == report.fingerprint


@pytest.mark.parametrize(("source", "seconds"), sparse([("coingecko", 300), ("coinpaprika", 0)], 2))
def test_ids_that_change_for_one_pass_link_and_part_nothing(
    engine: Engine, upstream: Upstream, source: str, seconds: float
):
    scene, before = open_scene(engine, upstream, SIZE)
    assert len(before.pairs) > SIZE * 0.8

    assert scene.wrong_pass(source, IDS, seconds) == "ids_changed"
    assert read_links(engine).pairs == before.pairs

    assert scene.good_pass() == [None, None]
    assert_sound(scene, before)


@pytest.mark.slow
def test_ids_that_changed_for_good_are_accepted_by_clearing_the_checkpoint(
    engine: Engine, upstream: Upstream
):
    scene, _ = open_scene(engine, upstream, SIZE)
    assert scene.wrong_pass("coingecko", IDS) == "ids_changed"
    assert scene.wrong_pass("coingecko", IDS) == "ids_changed"
    assert scene.wrong_pass("coingecko", IDS, 0) == "ids_changed"

    assert journal.clear_checkpoint(engine, "coingecko")

    assert scene.wrong_pass("coingecko", IDS) is None
    # Until the old ids are delisted, each name is told by two listings of the source.
    assert verify(engine).findings == ()


@pytest.mark.parametrize(
    ("source", "seconds"),
    sparse([("coingecko", 300), ("coinpaprika", 0), ("coingecko", 2 * HOUR)], 3),
)
def test_prices_that_shift_for_one_pass_part_nothing_and_are_reported(
    engine: Engine, upstream: Upstream, source: str, seconds: float
):
    scene, before = open_scene(engine, upstream, SIZE)

    assert scene.wrong_pass(source, PRICES, seconds) == "prices_shifted"
    assert read_links(engine).pairs == before.pairs
    if seconds == 300:
        with engine.connect() as conn:
            of_both = select(assets.c.divergent).where(assets.c.price_spread_percent.is_not(None))
            assert set(conn.scalars(of_both)) == {True}
            reviews = read_reviews(conn, 1000)
        linked = [each for each in reviews if each["verdict"] == "linked"]
        # Of a coin without a price none is known to be wrong.
        assert len(before.pairs) - 3 <= len(linked) <= len(before.pairs)

    assert scene.good_pass() == [None, None]
    assert_sound(scene, before)


@pytest.mark.slow
def test_prices_that_stay_shifted_part_no_pair_while_most_pairs_share_that(
    engine: Engine, upstream: Upstream
):
    scene, before = open_scene(engine, upstream, SIZE)

    for _ in range(8):
        assert scene.wrong_pass("coingecko", PRICES, HOUR) == "prices_shifted"
        scene.run("coinpaprika")
    assert read_links(engine).pairs == before.pairs
    with engine.connect() as conn:
        assert "disputed" in set(conn.scalars(select(matches.c.prices)))

    assert scene.good_pass(HOUR) == [None, None]
    assert_sound(scene, before)


def test_a_source_that_is_silent_for_hours_neither_links_nor_parts(
    engine: Engine, upstream: Upstream
):
    scene, before = open_scene(engine, upstream, SIZE)

    for _ in range(5):
        scene.market.tick(HOUR)
        assert scene.run("coingecko").succeeded
        assert read_links(engine).pairs == before.pairs

    assert scene.good_pass() == [None, None]
    assert_sound(scene, before)
