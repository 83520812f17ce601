"""Runs against a source whose pages repeat, are empty, or hold records twice."""

from collections.abc import Iterable

import pytest
from sqlalchemy import Engine, select

from shared.schema.market import listings
from shared.schema.operations import rejects
from tests.fakes.answers import body, edited, empty_list
from tests.fakes.cases import sparse
from tests.fakes.loaded_markets import SIZES, LoadedMarkets
from tests.fakes.runner import Runner
from tests.fakes.source_faults import FOR_EVER, FULL, SOURCES
from tests.fakes.upstream import Upstream
from worker.maintenance.verify import Report


@pytest.mark.parametrize("source", ["coingecko"])
@pytest.mark.parametrize("loops", sparse([2, 1, 3], 3))
def test_the_same_page_for_ever_is_left_and_the_pages_it_hid_are_read_once_it_is_over(
    copy: Engine, upstream: Upstream, unbroken: Report, loops: int
):
    runner = Runner(copy, upstream, "coingecko")
    first = page_of(upstream, 1)
    for page in range(1, 10):
        upstream.answers(*[body(first)] * FOR_EVER, page=page)

    for _ in range(loops):
        result = runner.run()
        assert (result.ending.outcome, result.ending.reason) == ("failed", "paging_loop")
        assert "check COINGECKO_BASE_URL" in str(result.ending.error)
        assert result.counts.fetched == FULL
        assert runner.checkpoint().cursor is None

    for page in range(1, 10):
        upstream.answers(page=page)
    healed = runner.run()

    assert (healed.ending.outcome, healed.counts.new) == ("succeeded", SIZES["coingecko"] - FULL)
    assert runner.sound() == unbroken


def page_of(upstream: Upstream, page: int) -> bytes:
    """Give what a page of CoinGecko's says now."""
    coins = upstream.market.markets("id_asc")[(page - 1) * FULL : page * FULL]
    return listed(map(upstream.market.market, coins))


def listed(records: Iterable[bytes]) -> bytes:
    return b"[" + b",".join(records) + b"]"


@pytest.mark.parametrize("source", sparse(SOURCES, 2))
def test_an_empty_list_where_there_were_many_fails_the_run(
    copy: Engine, upstream: Upstream, unbroken: Report, source: str
):
    runner = Runner(copy, upstream, source)
    upstream.answers(empty_list())

    result = runner.run()

    assert (result.ending.outcome, result.ending.reason) == ("failed", "empty_answer")
    assert f"no records; about {SIZES[source]} were expected" in str(result.ending.error)
    assert "check the response of the source" in str(result.ending.error)
    assert runner.run().counts.new == SIZES[source]
    assert runner.sound() == unbroken


@pytest.mark.parametrize("source", ["coingecko"])
def test_an_empty_page_in_the_middle_is_no_end_that_counts(
    copy: Engine, upstream: Upstream, unbroken: Report
):
    runner = Runner(copy, upstream, "coingecko")
    upstream.answers(empty_list(), page=2)

    result = runner.run()

    assert (result.ending.outcome, result.ending.reason) == ("partial", "fewer_records")
    assert f"250 records, but about {SIZES['coingecko']} were expected" in str(result.ending.error)
    assert "worker checkpoint clear coingecko" in str(result.ending.error)
    assert runner.checkpoint().snapshot_records == SIZES["coingecko"]
    healed = runner.run()
    assert (healed.ending.outcome, healed.counts.new) == ("succeeded", SIZES["coingecko"] - FULL)
    assert runner.sound() == unbroken


@pytest.mark.parametrize("source", ["coingecko"])
def test_coins_that_change_pages_are_seen_twice_or_missed_and_the_next_run_brings_them(
    copy: Engine, upstream: Upstream, unbroken: Report
):
    runner = Runner(copy, upstream, "coingecko")
    coins = [upstream.market.market(coin) for coin in upstream.market.markets("id_asc")]
    # While page 2 was read, seven coins of page 3 moved up before it, and pushed seven down.
    third = listed([*coins[493:500], *coins[507:]])
    upstream.answers(body(third), page=3)

    result = runner.run()

    assert result.ending.outcome == "succeeded"
    assert (result.counts.new, result.counts.unchanged) == (SIZES["coingecko"] - 7, 7)
    runner.sound()
    healed = runner.run()
    assert (healed.ending.outcome, healed.counts.new) == ("succeeded", 7)
    assert runner.sound() == unbroken


@pytest.mark.parametrize("source", sparse(SOURCES, 2))
@pytest.mark.parametrize("batch_size", sparse([100, 1000], 2))
def test_a_record_that_stands_in_a_page_twice_is_stored_once(
    copy: Engine, upstream: Upstream, unbroken: Report, source: str, batch_size: int
):
    runner = Runner(copy, upstream, source, batch_size)
    upstream.answers(edited(lambda sent: sent[:-1] + b"," + sent[1:-1] + b"]"))

    result = runner.run()

    # CoinGecko's first page is longer than a page can be: it counts as full.
    twice = FULL if source == "coingecko" else SIZES[source]
    assert result.ending.outcome == "succeeded"
    assert (result.counts.new, result.counts.unchanged) == (SIZES[source], twice)
    assert runner.sound() == unbroken


@pytest.mark.parametrize("source", sparse(SOURCES, 2))
def test_of_an_id_that_stands_in_a_page_twice_the_later_one_wins(
    loaded_markets: LoadedMarkets, source: str
):
    key = {"coingecko": b'"current_price":', "coinpaprika": b'"price":'}[source]

    def other(record: bytes) -> bytes:
        return record.replace(key, key + b"1", 1)

    def forwards(sent: bytes) -> bytes:
        return sent[:-1] + b"," + other(sent)[1:]

    def backwards(sent: bytes) -> bytes:
        return other(sent)[:-1] + b"," + sent[1:]

    prices = {}
    for edit in (forwards, backwards):
        with loaded_markets.copy(source) as engine, Upstream(assets=SIZES[source]) as upstream:
            upstream.market.tick()
            upstream.answers(edited(edit))
            runner = Runner(engine, upstream, source)
            assert runner.run().counts.new > SIZES[source]
            runner.sound()
            with engine.connect() as conn:
                stmt = select(listings.c.external_id, listings.c.price_usd)
                rows = conn.execute(stmt.where(listings.c.source == source))
                prices[edit] = {row.external_id: row.price_usd for row in rows}
    other_prices, own_prices = prices[forwards], prices[backwards]
    [changed] = [name for name, price in own_prices.items() if other_prices[name] != price]
    assert other_prices[changed] > own_prices[changed]


@pytest.mark.parametrize("source", sparse(SOURCES, 2))
def test_a_record_nested_10_000_deep_is_refused_and_costs_no_other(
    copy: Engine, upstream: Upstream, source: str
):
    runner = Runner(copy, upstream, source)
    hostile = b'{"id":"deep","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
    upstream.answers(edited(lambda sent: b"[" + hostile + b"," + sent[1:]))

    result = runner.run()

    assert result.ending.outcome == "succeeded"
    assert (result.counts.new, result.counts.rejected) == (SIZES[source], 1)
    runner.sound()
    with copy.connect() as conn:
        refused = conn.execute(select(rejects)).one()
    assert bytes(refused.payload) == hostile
    assert refused.reasons == ["nested deeper than 100 levels"]
    assert refused.position == "page 1, record 1"
