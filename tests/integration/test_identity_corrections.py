"""Corrections and crosswalks, decided by the same code as batches, before and after a reprocess."""

from random import Random

import pytest
from sqlalchemy import Engine, insert, select

from shared.schema.identity import contracts, corrections, identity_events, matches
from shared.schema.market import assets, listings
from tests.fakes.batches import COINGECKO, COINPAPRIKA, CSV, LATER, load, market, row, ticker
from tests.fakes.cases import sparse
from tests.integration.test_identity import clusters
from worker.curation import corrections as deciding
from worker.curation.crosswalk import apply_crosswalk
from worker.curation.recording import Attribution, CorrectionError
from worker.maintenance.reprocess import reprocess
from worker.maintenance.verify import verify

ANN = Attribution("ann", "same project, asked its team")
TON = ("coingecko", "the-open-network")
TONCOIN = ("coinpaprika", "toncoin-the-open-network")
BITCOIN = ("coingecko", "bitcoin")
BTC = ("coinpaprika", "btc-bitcoin")


@pytest.fixture(autouse=True)
def coins(engine: Engine) -> None:
    load(
        engine,
        COINGECKO,
        market("the-open-network", "ton", "The Open Network"),
        market("bitcoin", "btc", "Bitcoin"),
    )
    load(
        engine,
        COINPAPRIKA,
        ticker("toncoin-the-open-network", "TONCOIN", "Crystal"),
        ticker("btc-bitcoin", "BTC", "Bitcoin"),
    )


def slug_of(engine: Engine, ref: tuple[str, str]) -> str:
    stmt = select(assets.c.slug).join(listings, listings.c.asset_id == assets.c.id)
    with engine.connect() as conn:
        return conn.scalars(
            stmt.where(listings.c.source == ref[0], listings.c.external_id == ref[1])
        ).one()


def holds(engine: Engine, **expected: bool) -> None:
    """Check what is one coin, that nothing is damaged, and that a reprocess changes nothing."""
    for _ in range(2):
        assert (slug_of(engine, TON) == slug_of(engine, TONCOIN)) is expected.get("ton", False)
        assert (slug_of(engine, BITCOIN) == slug_of(engine, BTC)) is expected.get("bitcoin", True)
        assert verify(engine).findings == ()
        for source in (COINGECKO, COINPAPRIKA):
            reprocess(engine, source)


def test_a_link_lasts_and_keeps_the_slug_of_the_asset_it_was_made_to(engine: Engine):
    with engine.begin() as conn:
        decided = deciding.link(conn, TON, "crystal", ANN)
    holds(engine, ton=True)
    assert slug_of(engine, TON) == "crystal"

    load(engine, COINGECKO, market("the-open-network", "ton", "Toncoin", 2, LATER))
    holds(engine, ton=True)

    with engine.begin() as conn:
        deciding.undo(conn, decided.id, ANN)
    holds(engine, ton=False)
    assert slug_of(engine, TONCOIN) == "crystal"


def test_a_link_brings_what_is_one_with_the_listing_and_says_which_slug_stays(engine: Engine):
    load(engine, CSV, row("ton", "ton", "The Open Network"))
    with engine.begin() as conn:
        decided = deciding.link(conn, TON, "crystal", ANN)

    assert decided.assets == ["the-open-network"]
    assert {slug_of(engine, ref) for ref in (TON, TONCOIN, ("csv", "ton"))} == {"the-open-network"}

    with engine.begin() as conn:
        undone = deciding.undo(conn, decided.id, ANN)
    assert undone.assets == ["crystal", "the-open-network"]
    assert slug_of(engine, TONCOIN) == "crystal"
    assert slug_of(engine, ("csv", "ton")) == "the-open-network"


@pytest.mark.parametrize("command", ["merge", "link"])
def test_a_merge_of_assets_of_the_same_sources_keeps_all_listings(engine: Engine, command):
    load(engine, CSV, row("bitcoin"))
    load(engine, COINGECKO, market("bitcoin-cash", "bch", "Bitcoin Cash", 9))
    load(engine, COINPAPRIKA, ticker("bch-bitcoin-cash", "BCH", "Bitcoin Cash", 9))
    before = clusters(engine)

    with engine.begin() as conn:
        if command == "merge":
            decided = deciding.merge(conn, "bitcoin-cash", "bitcoin", ANN)
        else:
            decided = deciding.link(conn, ("coinpaprika", "bch-bitcoin-cash"), "bitcoin", ANN)

    assert decided.assets == ["bitcoin"]
    whole = {*(f"{source}:{id_}" for source, id_ in (BITCOIN, BTC, ("csv", "bitcoin")))}
    whole |= {"coinpaprika:bch-bitcoin-cash"}
    whole |= {"coingecko:bitcoin-cash"} if command == "merge" else set()
    assert whole in map(set, clusters(engine))
    assert verify(engine).findings == ()
    with engine.begin() as conn:
        deciding.undo(conn, decided.id, ANN)
    assert clusters(engine) == before
    assert slug_of(engine, BITCOIN) == "bitcoin"
    assert verify(engine).findings == ()


def test_a_split_of_two_leaves_the_slug_with_the_one_that_had_it(engine: Engine):
    with engine.begin() as conn:
        deciding.link(conn, TON, "crystal", ANN)
    with engine.begin() as conn:
        decided = deciding.split(conn, TONCOIN, TON, ANN)

    assert slug_of(engine, TONCOIN) == "crystal"
    assert slug_of(engine, TON) == "the-open-network"
    assert decided.assets == ["crystal"]
    holds(engine, ton=False)


def test_a_split_takes_a_listing_out_and_leaves_the_slug_with_the_others(engine: Engine):
    with engine.begin() as conn:
        decided = deciding.split(conn, BITCOIN, None, ANN)
    holds(engine, bitcoin=False)
    assert slug_of(engine, BTC) == "bitcoin"
    assert slug_of(engine, BITCOIN).startswith("bitcoin~")

    with engine.begin() as conn:
        deciding.undo(conn, decided.id, ANN)
    holds(engine, bitcoin=True)
    assert slug_of(engine, BITCOIN) == "bitcoin"


def test_the_newer_decision_of_a_pair_revokes_the_older(engine: Engine):
    load(engine, CSV, row("bitcoin"))
    with engine.begin() as conn:
        first = deciding.split(conn, BITCOIN, None, ANN)
    with engine.begin() as conn:
        second = deciding.link(conn, BITCOIN, "bitcoin", ANN)

    assert list(second.revoked) == [first.id, first.id + 1]
    holds(engine, bitcoin=True)


@pytest.mark.parametrize("seed", sparse(range(3), 3))
def test_after_undoing_all_decisions_the_rules_apply_again(engine: Engine, seed: int):
    load(engine, CSV, row("bitcoin"), row("ton", "TON", "The Open Network"))
    undecided = clusters(engine)
    dice = Random(seed)
    standing = set()
    for _ in range(10):
        refs = sorted(min(refs) for refs in clusters(engine))
        one, other = (tuple(ref.split(":", 1)) for ref in dice.sample(refs * 2, 2))
        what = dice.choice(["link", "split", "merge", "undo"])
        try:
            with engine.begin() as conn:
                if what == "link":
                    done = deciding.link(conn, one, slug_of(engine, other), ANN)
                elif what == "split":
                    done = deciding.split(conn, one, dice.choice([None, other]), ANN)
                elif what == "merge":
                    done = deciding.merge(conn, slug_of(engine, one), slug_of(engine, other), ANN)
                elif standing:
                    deciding.undo(conn, dice.choice(sorted(standing)), ANN)
        except CorrectionError:
            continue
        assert verify(engine).findings == ()
        stand = select(corrections.c.id).where(corrections.c.revoked_at.is_(None))
        with engine.connect() as conn:
            standing = set(conn.scalars(stand))

    assert done
    while standing:
        with engine.begin() as conn:
            deciding.undo(conn, max(standing), ANN)
        with engine.connect() as conn:
            standing = set(conn.scalars(stand))
    assert clusters(engine) == undecided
    assert verify(engine).findings == ()


def test_a_merge_keeps_the_slug_that_it_was_merged_into(engine: Engine):
    with engine.begin() as conn:
        deciding.merge(conn, "the-open-network", "crystal", ANN)
    holds(engine, ton=True)
    assert slug_of(engine, TON) == "crystal"

    with engine.begin() as conn:
        deciding.undo(conn, 1, ANN)
    holds(engine, ton=False)
    assert slug_of(engine, TONCOIN) == "crystal"
    assert slug_of(engine, TON) == "the-open-network"


def test_who_decided_when_and_why_is_kept(engine: Engine):
    with engine.begin() as conn:
        decided = deciding.link(conn, TON, "crystal", ANN)
    with engine.connect() as conn:
        row = conn.execute(select(corrections)).one()
        event = conn.execute(
            select(identity_events).where(identity_events.c.decided_by.is_not(None))
        ).one()
    assert (row.id, row.same, row.decided_by, row.reason) == (decided.id, True, "ann", ANN.reason)
    assert (event.method, event.decided_by, event.reason) == ("correction", "ann", ANN.reason)
    assert event.from_asset_id != event.to_asset_id
    assert event.evidence == {"decision": "link", "correction": decided.id}
    with engine.connect() as conn:
        of_the_listing = identity_events.c.listing_id == event.listing_id
        assert len(conn.execute(select(identity_events).where(of_the_listing)).all()) == 1


def test_rulings_that_contradict_through_a_third_listing_are_refused_with_the_chain(engine: Engine):
    for ref in (TON, BTC):
        with engine.begin() as conn:
            deciding.link(conn, ref, "crystal", ANN)

    with engine.connect() as conn, pytest.raises(CorrectionError) as refused:
        deciding.split(conn, BTC, TONCOIN, ANN)

    assert str(refused.value) == (
        "this contradicts earlier decisions: coinpaprika:btc-bitcoin is"
        " coingecko:the-open-network by correction 2, which is"
        " coinpaprika:toncoin-the-open-network by correction 1; but"
        " correction 3 keeps coinpaprika:btc-bitcoin and coinpaprika:toncoin-the-open-network"
        " apart; undo one of them, or fix the crosswalk file"
    )
    holds(engine, ton=True, bitcoin=False)


def test_a_crosswalk_links_and_a_correction_wins_over_it(engine: Engine):
    said = {TON: "toncoin", TONCOIN: "toncoin", ("coingecko", "not-there"): "toncoin"}
    with engine.begin() as conn:
        assert apply_crosswalk(conn, said) == 3
        assert apply_crosswalk(conn, said) == 0
    holds(engine, ton=True)

    with engine.begin() as conn:
        deciding.split(conn, TON, None, ANN)
    holds(engine, ton=False)

    with engine.begin() as conn:
        assert apply_crosswalk(conn, {}) == 3
    holds(engine, ton=False)


@pytest.mark.slow
def test_a_crosswalk_keeps_two_assets_apart(engine: Engine):
    with engine.begin() as conn:
        apply_crosswalk(conn, {BITCOIN: "bitcoin", BTC: "another"})
    holds(engine, bitcoin=False)
    with engine.begin() as conn:
        apply_crosswalk(conn, {})
    holds(engine, bitcoin=True)


def test_two_crosswalk_assets_are_kept_apart_despite_a_common_contract(engine: Engine):
    contract = {"chain": "ethereum", "address": "0x01"}
    with engine.begin() as conn:
        for source, external_id in (TON, TONCOIN):
            named = {"source": source, "external_id": external_id, **contract}
            conn.execute(insert(contracts).values(named))
        apply_crosswalk(conn, {BITCOIN: "bitcoin", TON: "ton"})
    assert slug_of(engine, TON) == slug_of(engine, TONCOIN)

    with engine.begin() as conn:
        apply_crosswalk(conn, {BITCOIN: "bitcoin", TON: "ton", TONCOIN: "crystal"})
    assert slug_of(engine, TON) != slug_of(engine, TONCOIN)


def test_a_file_and_decisions_of_one_transaction_are_each_decided(engine: Engine):
    with engine.begin() as conn:
        apply_crosswalk(conn, {TON: "toncoin", TONCOIN: "toncoin"})
        deciding.split(conn, BITCOIN, None, ANN)
        deciding.split(conn, TON, TONCOIN, ANN)
    holds(engine, ton=False, bitcoin=False)
    with engine.connect() as conn:
        by_people = identity_events.c.decided_by.is_not(None)
        assert len(conn.execute(select(identity_events).where(by_people)).all()) == 2


def test_a_decided_review_leaves_the_list(engine: Engine):
    load(engine, COINGECKO, market("meta-1", "meta", "Meta"), market("meta-2", "meta", "Meta"))
    load(engine, COINPAPRIKA, ticker("meta-meta", "META", "Meta"))
    review = select(matches).where(matches.c.verdict == "review")
    with engine.connect() as conn:
        open_before = len(conn.execute(review).all())
    assert open_before

    with engine.begin() as conn:
        for n in (1, 2):
            deciding.split(conn, ("coingecko", f"meta-{n}"), ("coinpaprika", "meta-meta"), ANN)

    with engine.connect() as conn:
        assert not conn.execute(review).all()
    holds(engine)
