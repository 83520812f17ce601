"""Listings that a person says are listed no more, and assets that none lists."""

import itertools
import re

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import Engine, select
from sqlalchemy.engine import URL

from shared.schema.identity import corrections, identity_events
from shared.schema.market import listings, retirements
from tests.fakes.batches import COINGECKO, CSV, load, market, row
from worker.cli.main import main
from worker.curation import retirements as retiring
from worker.curation.corrections import split, undo
from worker.curation.recording import Attribution, CorrectionError
from worker.maintenance.verify import verify

ANN = Attribution("ann", "the file is of 2021")


@pytest.fixture(autouse=True)
def coins(engine: Engine):
    load(engine, CSV, row("btc", price="30000"), row("old", "OLD", "Old Coin"))
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 30100))
    yield
    assert verify(engine, [COINGECKO, CSV]).findings == ()


def retire(engine: Engine, *external_ids: str):
    with engine.begin() as conn:
        return retiring.retire(conn, [("csv", each) for each in external_ids], ANN)


PAGE_SIZES = itertools.count(100)


def shown(client: FlaskClient, **query: str) -> dict[str, dict]:
    """Ask what was never asked before: no answer is kept of it."""
    asked = {"page_size": next(PAGE_SIZES), **query}
    return {each["slug"]: each for each in client.get("/data", query_string=asked).json["data"]}


def test_a_retired_listing_is_delisted_until_that_is_undone(engine: Engine, client: FlaskClient):
    before = shown(client)
    assert {slug: each["active"] for slug, each in before.items()} == {
        "bitcoin": True,
        "old-coin": True,
    }

    decided = retire(engine, "old")

    assert (decided.listings, decided.assets) == (1, ["old-coin"])
    gone = shown(client)["old-coin"]
    assert (gone["active"], gone["price_usd"]) == (False, None)
    assert gone["delisted_at"] is not None
    asset = client.get("/data/old-coin").json["data"]
    [listing] = asset["listings"]
    assert (listing["active"], listing["price_usd"]) == (False, 1)
    assert listing["delisted_at"] == gone["delisted_at"]
    assert (asset["values"]["price_usd"]["value"], asset["values"]["price_usd"]["current"]) == (
        1,
        False,
    )

    with engine.begin() as conn:
        undo(conn, decided.id, ANN)

    back = shown(client)["old-coin"]
    assert (back["active"], back["delisted_at"], back["price_usd"]) == (True, None, 1)


def test_an_asset_is_active_while_one_of_its_listings_is(engine: Engine, client: FlaskClient):
    assert shown(client)["bitcoin"]["source_count"] == 2

    retire(engine, "btc")

    bitcoin = shown(client)["bitcoin"]
    assert (bitcoin["active"], bitcoin["source_count"]) == (True, 1)
    assert (bitcoin["price_usd"], bitcoin["price_spread_percent"]) == (30100, None)


def test_assets_are_found_by_whether_they_are_active(engine: Engine, client: FlaskClient):
    retire(engine, "old")

    assert set(shown(client, active="true")) == {"bitcoin"}
    assert set(shown(client, active="false")) == {"old-coin"}
    assert set(shown(client)) == {"bitcoin", "old-coin"}
    answer = client.get("/data", query_string={"active": "yes"})
    assert (answer.status_code, "active" in answer.text) == (400, True)


def test_the_past_shows_an_asset_as_listed_before_and_as_delisted_after(
    engine: Engine, client: FlaskClient
):
    retire(engine, "old")
    with engine.connect() as conn:
        at = conn.scalar(select(listings.c.delisted_at).where(listings.c.external_id == "old"))

    before = shown(client, as_of="2026-01-02T12:00:00Z")["old-coin"]
    after = shown(client, as_of=at.isoformat())["old-coin"]

    assert (before["active"], before["price_usd"]) == (True, 1)
    assert (after["active"], after["price_usd"]) == (False, None)
    detail = client.get("/data/old-coin", query_string={"as_of": at.isoformat()}).json["data"]
    assert (detail["active"], detail["listings"][0]["active"]) == (False, False)


def test_a_newer_record_does_not_list_a_retired_listing_again(engine: Engine):
    retire(engine, "old")

    load(engine, CSV, row("old", "OLD", "Old Coin", "2"))

    with engine.connect() as conn:
        found = conn.execute(select(listings).where(listings.c.external_id == "old")).one()
    assert (found.price_usd, found.delisted_at is None) == (2, False)


def test_listings_of_a_source_with_snapshots_cannot_be_retired(engine: Engine):
    with (
        engine.begin() as conn,
        pytest.raises(CorrectionError, match="coingecko: cannot retire"),
    ):
        retiring.retire(conn, [("coingecko", "bitcoin")], ANN)


def test_only_existing_listings_can_be_retired_and_only_once(engine: Engine):
    with pytest.raises(CorrectionError, match="csv:nothing: no such listing"):
        retire(engine, "old", "nothing")
    retire(engine, "old")
    with pytest.raises(CorrectionError, match="csv:old: already retired"):
        retire(engine, "old", "btc")

    with engine.connect() as conn:
        assert conn.scalars(select(retirements.c.external_id)).all() == ["old"]


def test_one_number_names_one_decision_of_either_kind(engine: Engine):
    first = retire(engine, "old", "btc")
    with engine.begin() as conn:
        second = split(conn, ("csv", "btc"), None, ANN)
        ids = {*conn.scalars(select(retirements.c.id)), *conn.scalars(select(corrections.c.id))}
    assert len(ids) == 3

    with engine.begin() as conn:
        assert undo(conn, first.id, ANN).listings == 2
        assert undo(conn, second.id, ANN).listings == 0
        with pytest.raises(CorrectionError, match=f"decision {first.id}: was revoked"):
            undo(conn, first.id, ANN)
        events = select(identity_events.c.evidence).where(identity_events.c.decided_by == "ann")
        told = [each["decision"] for each in conn.scalars(events.order_by(identity_events.c.id))]
    assert told == ["retire"] * 2 + ["split"] + ["undo"] * 4


def test_the_commands_retire_and_undo(engine: Engine, database_url: URL, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", database_url.render_as_string(hide_password=False))

    def said(*arguments: str) -> str:
        ran = CliRunner().invoke(main, [*arguments, "--reason", "old", "--by", "ann"])
        assert ran.exit_code == 0, ran.output
        return ran.output

    tried = said("listings", "retire", "csv", "old", "btc", "--dry-run")
    assert "would retire 2 listings of csv; asset bitcoin, old-coin" in tried
    with engine.connect() as conn:
        assert conn.scalars(select(retirements.c.id)).all() == []

    done = said("listings", "retire", "csv", "old")
    shown = CliRunner().invoke(main, ["identity", "show", "old-coin"])
    assert re.search(r"retirements\n.*\n.*csv +old +ann", shown.output), shown.output
    [number] = re.findall(r"decision (\d+): retired csv:old; asset old-coin", done)
    taken_back = said("identity", "undo", number)
    assert f"decision {number}: revoked, one listing; asset old-coin" in taken_back
