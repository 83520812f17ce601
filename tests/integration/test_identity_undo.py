"""Undoing a decision of several pairs, by any of its numbers and after newer decisions."""

import pytest
from sqlalchemy import Engine, select

from shared.schema.identity import corrections
from tests.fakes.batches import COINGECKO, COINPAPRIKA, CSV, load, market, row, ticker
from tests.integration.test_identity_slugs import members
from worker.curation import corrections as deciding
from worker.curation.recording import Attribution, CorrectionError
from worker.maintenance.verify import verify

ANN = Attribution("ann", "asked its team")
SHEET = ("csv", "bitcoin")
BITCOIN = ("coingecko", "bitcoin")
BTC = ("coinpaprika", "btc-bitcoin")
LOADED = {"gold": {SHEET}, "bitcoin": {BITCOIN, BTC}}


@pytest.fixture(autouse=True)
def coins(engine: Engine) -> None:
    load(engine, CSV, row("bitcoin", "XAU", "Gold"))
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin"))
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin"))


def active(engine: Engine) -> list[int]:
    c = corrections.c
    with engine.connect() as conn:
        return [*conn.scalars(select(c.id).where(c.revoked_at.is_(None)).order_by(c.id))]


@pytest.mark.parametrize("number", [1, 2])
def test_each_number_of_a_merge_undoes_all_of_it(engine: Engine, number: int):
    assert members(engine) == LOADED
    with engine.begin() as conn:
        decided = deciding.merge(conn, "bitcoin", "gold", ANN)
    assert [*decided.ids] == [1, 2] == active(engine)

    with engine.begin() as conn:
        undone = deciding.undo(conn, number, ANN)

    assert [*undone.ids] == [1, 2]
    assert members(engine) == LOADED
    assert verify(engine).findings == ()


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("ref", [BITCOIN, BTC])
def test_a_merge_of_which_a_split_revoked_a_pair_can_be_undone(
    engine: Engine, number: int, ref: tuple[str, str]
):
    with engine.begin() as conn:
        deciding.merge(conn, "bitcoin", "gold", ANN)
    with engine.begin() as conn:
        split = deciding.split(conn, ref, None, ANN)
    [revoked] = split.revoked

    with engine.begin() as conn:
        undone = deciding.undo(conn, number, ANN)

    assert [*undone.ids] == [3 - revoked]
    assert active(engine) == [*split.ids]
    assert verify(engine).findings == ()
    with engine.begin() as conn:
        deciding.undo(conn, split.id, ANN)
    assert {frozenset(refs) for refs in members(engine).values()} == {
        frozenset(refs) for refs in LOADED.values()
    }
    assert verify(engine).findings == ()


def test_undoing_what_a_newer_decision_revoked_is_refused_with_its_number(engine: Engine):
    with engine.begin() as conn:
        deciding.merge(conn, "bitcoin", "gold", ANN)
    with engine.begin() as conn:
        deciding.split(conn, SHEET, None, ANN)

    with engine.begin() as conn, pytest.raises(CorrectionError) as refused:
        deciding.undo(conn, 1, ANN)
    assert str(refused.value) == (
        "correction 1: was revoked by correction 3, which applies; to revoke that one, run "
        "`worker identity undo 3`"
    )

    with engine.begin() as conn:
        deciding.undo(conn, 3, ANN)
    for number in (1, 3):
        with engine.begin() as conn, pytest.raises(CorrectionError) as refused:
            deciding.undo(conn, number, ANN)
        assert str(refused.value) == (
            f"correction {number}: was revoked; see `worker identity show SLUG`"
        )
