import json
from collections.abc import Sequence

import pytest
from sqlalchemy import Engine, select
from structlog.testing import capture_logs

from shared.schema.identity import identity_events, matches
from shared.schema.market import assets, listings
from tests.fakes.batches import (
    COINGECKO,
    COINPAPRIKA,
    CSV,
    EARLIER,
    LATER,
    NOON,
    load,
    market,
    row,
    ticker,
)
from worker.curation.crosswalk import apply_crosswalk
from worker.maintenance.verify import verify


def clusters(engine: Engine) -> set[frozenset[str]]:
    """Which listings are one asset."""
    found: dict[int, set[str]] = {}
    with engine.connect() as conn:
        for row in conn.execute(select(listings)):
            found.setdefault(row.asset_id, set()).add(f"{row.source}:{row.external_id}")
    return {frozenset(cluster) for cluster in found.values()}


def slugs(engine: Engine) -> list[str]:
    with engine.connect() as conn:
        return sorted(conn.scalars(select(assets.c.slug)))


def together(*names: str) -> frozenset[str]:
    return frozenset(names)


def test_listings_of_two_sources_with_one_symbol_and_name_are_one_asset(engine: Engine):
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin"))
    load(engine, COINGECKO, market("bitcoin", "btc", " bitcoin\u00a0"))

    assert clusters(engine) == {together("coingecko:bitcoin", "coinpaprika:btc-bitcoin")}
    assert slugs(engine) == ["bitcoin"]
    with engine.connect() as conn:
        methods = set(conn.execute(select(listings.c.match_method, listings.c.match_score)))
        evidence = conn.scalars(select(listings.c.match_evidence)).first()
    assert [(method, float(score)) for method, score in methods] == [("symbol_and_name", 0.965)]
    assert (evidence["ground"], evidence["symbols"]) == ("same name", "same")


@pytest.mark.parametrize(
    ("symbol", "name"),
    [("btc", "Bitcoin Classic"), ("btcc", "Bitcoin"), ("", "Bitcoin")],
)
def test_neither_the_symbol_nor_the_name_alone_makes_a_link(engine: Engine, symbol, name):
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin"))
    load(engine, COINGECKO, market("other", symbol, name))

    assert len(clusters(engine)) == 2


def test_empty_symbols_never_agree(engine: Engine):
    load(engine, COINPAPRIKA, ticker("-muon", "", "Muon"))
    load(engine, COINGECKO, market("muon", "", "Muon"))

    assert len(clusters(engine)) == 2
    assert len(set(slugs(engine))) == 2


def test_a_symbol_and_name_that_a_source_has_twice_links_nothing(engine: Engine):
    load(engine, COINGECKO, market("meta-1", "meta", "Meta"), market("meta-2", "meta", "Meta"))
    load(engine, COINPAPRIKA, ticker("meta-meta", "META", "Meta"))

    assert len(clusters(engine)) == 3
    assert len(set(slugs(engine))) == 3


def test_a_namesake_that_comes_later_takes_a_link_apart(engine: Engine):
    load(engine, COINGECKO, market("meta-1", "meta", "Meta"))
    load(engine, COINPAPRIKA, ticker("meta-meta", "META", "Meta"))
    assert len(clusters(engine)) == 1

    load(engine, COINGECKO, market("meta-2", "meta", "Meta"))

    assert len(clusters(engine)) == 3
    assert "meta" in slugs(engine)
    assert not verify(engine).findings


def test_a_rename_away_makes_the_link_that_it_stood_in_the_way_of(engine: Engine):
    load(engine, COINGECKO, market("luna", "luna", "Terra"), market("luna-2", "luna", "Terra"))
    load(engine, COINPAPRIKA, ticker("luna-terra", "LUNA", "Terra"))
    assert len(clusters(engine)) == 3

    load(engine, COINGECKO, market("luna", "lunc", "Terra Classic", 1, LATER))

    assert clusters(engine) == {
        together("coingecko:luna"),
        together("coingecko:luna-2", "coinpaprika:luna-terra"),
    }
    assert not verify(engine).findings
    with engine.connect() as conn:
        event = conn.execute(select(identity_events).order_by(identity_events.c.id.desc())).first()
    assert event is not None
    assert event.method == "symbol_and_name"
    assert event.evidence["ground"] == "same name"


def test_a_link_also_moves_the_values_and_leaves_no_empty_asset(engine: Engine):
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin Old", 1))
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin", 2, LATER))
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 3, "2026-01-02T12:06:00Z"))

    with engine.connect() as conn:
        rows: Sequence = conn.execute(select(assets)).all()
    assert [(row.price_usd, row.source_count) for row in rows] == [(3, 2)]


def test_where_the_symbol_ends_and_the_name_begins_is_not_forgotten(engine: Engine):
    load(engine, COINGECKO, market("one", "a b", "c"))
    load(engine, COINPAPRIKA, ticker("two", "a", "b c"))

    assert len(clusters(engine)) == 2
    assert not verify(engine).findings


def test_of_csv_files_each_namespace_is_a_source_of_its_own(engine: Engine):
    load(engine, CSV, row("bitcoin"), row("kaggle:btc-bitcoin"))
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin"))

    assert clusters(engine) == {
        together("coingecko:bitcoin", "csv:bitcoin", "csv:kaggle:btc-bitcoin")
    }

    load(engine, CSV, row("kaggle:bitcoin-2"))
    assert clusters(engine) == {
        together("coingecko:bitcoin", "csv:bitcoin"),
        together("csv:kaggle:btc-bitcoin"),
        together("csv:kaggle:bitcoin-2"),
    }


def test_names_without_latin_letters_get_a_slug_of_their_external_id(engine: Engine):
    load(engine, COINGECKO, market("bitebi", "btb", "比特币"), market("x-2", "x", "🚀"))

    assert slugs(engine) == ["bitebi", "x-2"]


def test_a_slug_is_never_given_to_another_coin(engine: Engine):
    load(engine, COINGECKO, market("meta-1", "m1", "Meta!"))
    load(engine, COINGECKO, market("meta-2", "m2", "Meta?"), market("meta-3", "m3", "Meta."))

    found = slugs(engine)
    assert found[0] == "meta"
    assert all(slug.startswith("meta~") for slug in found[1:])
    assert len(set(found)) == 3


def test_of_two_that_come_at_once_the_greater_has_the_bare_slug_whatever_their_order(
    engine: Engine,
):
    small = market("meta-1", "m1", "Meta!", market_cap=5)
    great = market("meta-2", "m2", "Meta?", market_cap=900)

    load(engine, COINGECKO, small, great)

    with engine.connect() as conn:
        found = conn.execute(
            select(listings.c.external_id, assets.c.slug).join(
                assets, assets.c.id == listings.c.asset_id
            )
        )
        assert {tuple(row) for row in found} == {("meta-2", "meta"), ("meta-1", "meta~meta-1")}


def test_the_slug_of_an_asset_that_is_gone_goes_to_no_other_coin(engine: Engine):
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin"))
    load(engine, COINPAPRIKA, ticker("btc-gold", "GLD", "Gold"))
    assert slugs(engine) == ["bitcoin", "gold"]
    load(engine, COINPAPRIKA, ticker("btc-gold", "BTC", "Bitcoin", 1, LATER))
    assert slugs(engine) == ["bitcoin"]

    load(engine, COINGECKO, market("gold-2", "gld", "Gold"))

    assert slugs(engine) == ["bitcoin", "gold~gold-2"]

    load(engine, COINPAPRIKA, ticker("btc-gold", "GLX", "Gold", 1, "2026-01-02T12:09:00Z"))

    assert slugs(engine) == ["bitcoin", "gold", "gold~gold-2"]  # back to the coin that it was of


def day(hour: int) -> str:
    return f"2026-01-02T{hour}:00:00.000Z"


def test_a_link_that_prices_break_is_told_with_both_listings_and_why(engine: Engine):
    load(engine, COINGECKO, market("coin-a", "coa", "Coin A", 1, market_cap=None))
    load(engine, COINPAPRIKA, ticker("coa-coin-a", "COA", "Coin A", 1))
    assert len(clusters(engine)) == 1

    with capture_logs() as logs:
        for hour in (15, 18, 22):
            load(
                engine, COINGECKO, market("coin-a", "coa", "Coin A", 1, day(hour), market_cap=None)
            )
            load(engine, COINPAPRIKA, ticker("coa-coin-a", "COA", "Coin A", 900, day(hour)))

    assert len(clusters(engine)) == 2
    (warning,) = [each for each in logs if "broken" in each["event"]]
    assert warning["log_level"] == "warning"
    assert (warning["listing"], warning["other"]) == ("coingecko:coin-a", "coinpaprika:coa-coin-a")
    assert "price" in warning["why"]
    with engine.connect() as conn:
        assert conn.scalars(select(matches.c.verdict)).all() == ["review"]
    assert not verify(engine).findings

    load(engine, COINGECKO, market("coin-a", "coa", "Coin A", 901, day(22), market_cap=None))

    assert len(clusters(engine)) == 1
    assert not verify(engine).findings


def test_deciding_the_same_again_leaves_matches_as_they_were(engine: Engine):
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin"))
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin"))
    with engine.connect() as conn:
        before = conn.execute(select(matches)).all()
    assert before

    load(engine, COINGECKO, market("other", "btc", "Something else"))

    with engine.connect() as conn:
        assert conn.execute(select(matches)).all() == before


def golem(symbol: str, at: str = NOON, supply: int | None = None, **fields) -> bytes:
    values = {"market_cap": None, "circulating_supply": supply, **fields}
    return market("golem", symbol, "Golem", "null", at, **values)


def paprika_golem(supply: int = 0) -> bytes:
    document = json.loads(ticker("gnt-golem", "GNT", "Golem"))
    document["total_supply"] = supply
    document["quotes"]["USD"] = {"price": None, "market_cap": None, "volume_24h": None}
    return json.dumps(document).encode()


LISTED = together("coingecko:golem", "coinpaprika:gnt-golem")


def test_a_batch_finds_what_has_its_name_under_another_symbol(engine: Engine):
    supply = 987_654_321
    load(engine, COINPAPRIKA, paprika_golem(supply))
    load(engine, COINGECKO, golem("glm"))
    assert len(clusters(engine)) == 2
    with engine.connect() as conn:
        [review] = conn.execute(select(matches)).all()
    assert (review.method, review.evidence["why"]) == ("name_and_slug", "symbols_differ")

    load(engine, COINGECKO, golem("glm", LATER, total_supply=supply))

    assert clusters(engine) == {LISTED}
    assert not verify(engine).findings


def test_values_that_come_to_agree_under_two_symbols_are_decided_anew(engine: Engine):
    load(engine, COINPAPRIKA, paprika_golem(987_654_321))
    load(engine, COINGECKO, golem("glm", EARLIER, total_supply=1))
    with engine.connect() as conn:
        assert not conn.execute(select(matches)).all()

    load(engine, COINGECKO, golem("glm", total_supply=987_654_321))
    assert clusters(engine) == {LISTED}

    load(engine, COINGECKO, golem("glm", LATER, total_supply=1))
    assert len(clusters(engine)) == 2
    assert not verify(engine).findings


def test_a_namesake_under_a_third_symbol_takes_a_link_apart_and_gives_it_back(engine: Engine):
    load(engine, COINPAPRIKA, ticker("toncoin-the-network", "TONCOIN", "The Network"))
    load(engine, COINGECKO, market("the-network", "ton", "The Network"))
    assert len(clusters(engine)) == 1

    load(engine, COINGECKO, market("network-2", "x", "The  network"))
    assert len(clusters(engine)) == 3
    assert not verify(engine).findings

    load(engine, COINGECKO, market("network-2", "x", "Another", 1, LATER))
    assert len(clusters(engine)) == 2
    assert not verify(engine).findings


def test_a_crosswalk_reaches_through_a_name_as_it_does_through_a_symbol(engine: Engine):
    load(engine, COINPAPRIKA, paprika_golem(987_654_321))
    load(engine, COINGECKO, golem("glm", total_supply=987_654_321))
    assert clusters(engine) == {LISTED}

    ruled = {("coingecko", "golem"): "new", ("coinpaprika", "gnt-golem"): "old"}
    with engine.begin() as conn:
        apply_crosswalk(conn, ruled)

    assert len(clusters(engine)) == 2
    assert not verify(engine).findings


def test_a_namesake_that_joined_later_does_not_keep_the_slug(engine: Engine):
    """Between two of CoinGecko's, the id decides which is CoinPaprika's."""
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin"))
    load(engine, COINGECKO, market("a-fake", "btc", "Bitcoin"))
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin"))

    assert slugs(engine) == ["bitcoin", "bitcoin~a-fake"]
    assert together("coinpaprika:btc-bitcoin", "coingecko:bitcoin") in clusters(engine)
    assert not verify(engine).findings
