"""A decision that was made before changes nothing."""

import pytest
from sqlalchemy import Engine, func, select

from shared.schema.identity import corrections, identity_events
from tests.fakes.batches import COINGECKO, COINPAPRIKA, CSV, load, market, row, ticker
from tests.integration.test_identity_slugs import members
from worker.curation import corrections as deciding
from worker.curation.recording import Attribution, Decision
from worker.identity.resolver.evidence import Ref
from worker.maintenance.verify import verify

ANN = Attribution("ann", "asked its team")
BOB = Attribution("bob", "another reason")
SHEET = ("csv", "gold")
BITCOIN = ("coingecko", "bitcoin")
BTC = ("coinpaprika", "btc-bitcoin")


@pytest.fixture(autouse=True)
def coins(engine: Engine) -> None:
    load(engine, CSV, row("gold", "XAU", "Gold"))
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin"))
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin"))


def stored(engine: Engine) -> list[object]:
    with engine.connect() as conn:
        every = conn.execute(select(corrections).order_by(corrections.c.id)).all()
        return [*every, conn.scalar(select(func.count()).select_from(identity_events))]


def link(engine: Engine, ref: Ref, slug: str, attribution: Attribution = BOB) -> Decision:
    with engine.begin() as conn:
        return deciding.link(conn, ref, slug, attribution)


@pytest.mark.parametrize("ref", [SHEET, BITCOIN, BTC])
def test_a_link_of_what_a_decision_linked_changes_nothing(engine: Engine, ref: Ref):
    with engine.begin() as conn:
        deciding.merge(conn, "bitcoin", "gold", ANN)
    before = stored(engine)

    again = link(engine, ref, "gold")

    assert (again.ids, again.revoked, again.assets) == ((), (), ["gold"])
    assert set(again.earlier) <= {1, 2}
    assert again.earlier
    assert stored(engine) == before


def test_a_split_of_what_is_kept_apart_changes_nothing(engine: Engine):
    with engine.begin() as conn:
        deciding.split(conn, SHEET, BTC, ANN)
    before = stored(engine)

    with engine.begin() as conn:
        again = deciding.split(conn, BTC, SHEET, BOB)

    assert (again.ids, again.revoked, again.earlier) == ((), (), [1])
    assert stored(engine) == before


def test_a_link_of_what_the_rules_linked_holds_after_they_would_break_it(engine: Engine):
    assert link(engine, BTC, "bitcoin").ids == [1]

    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTCX", "Bitcoin X", 9, "2026-01-03T12:00:00Z"))

    assert members(engine) == {"gold": {SHEET}, "bitcoin": {BITCOIN, BTC}}
    assert verify(engine).findings == ()


def test_a_merge_keeps_the_pairs_of_earlier_decisions_as_theirs(engine: Engine):
    load(engine, CSV, row("silver", "XAG", "Silver"))
    link(engine, SHEET, "bitcoin", ANN)
    link(engine, SHEET, "bitcoin", ANN)

    with engine.begin() as conn:
        decided = deciding.merge(conn, "silver", "bitcoin", BOB)
        assert not decided.revoked
    with engine.begin() as conn:
        deciding.undo(conn, decided.id, BOB)

    assert members(engine)["silver"] == {("csv", "silver")}
    assert {BITCOIN, BTC, SHEET} in members(engine).values()
    assert verify(engine).findings == ()
