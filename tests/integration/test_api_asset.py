"""`GET /data/{asset}`: one asset, its listings, and where its values come from."""

import hashlib
from decimal import Decimal

import pytest

from shared.model.records import VALUES
from tests.fakes.api import NOON, add_asset, add_listing, take_values_from
from tests.fakes.batches import COINGECKO, COINPAPRIKA, EARLIER, LATER, load, market, ticker
from tests.fakes.batches import NOON as NOON_TEXT
from worker.curation.corrections import merge
from worker.curation.recording import Attribution


@pytest.fixture
def bitcoin(engine):
    """An asset of three listings: the price is one source's, the supply another's."""
    with engine.begin() as conn:
        asset = add_asset(conn, "bitcoin", price_usd=Decimal("64000.10"), max_supply=21_000_000)
        gecko = add_listing(
            conn, asset, "coingecko", "bitcoin", price_usd=Decimal("64000.10"), run_id=7
        )
        add_listing(
            conn,
            asset,
            "csv",
            "prices.csv/BTC",
            price_usd=64001,
            observed_at=NOON.replace(hour=11),
            match_method="symbol_and_name",
            match_score=Decimal("0.900"),
            match_evidence={"listings": ["a", "b"], "n": 1},
        )
        paprika = add_listing(
            conn, asset, "coinpaprika", "btc-bitcoin", max_supply=21_000_000, run_id=8
        )
        take_values_from(conn, asset, price_usd=gecko, max_supply=paprika)
        add_listing(conn, add_asset(conn, "other"), "coingecko", "other")


@pytest.mark.usefixtures("bitcoin")
def test_each_value_says_where_it_comes_from(client):
    asset = client.get("/data/bitcoin").json["data"]

    assert asset["price_usd"] == 64000.1
    assert asset["provenance"]["price_usd"] == {
        "source": "coingecko",
        "external_id": "bitcoin",
        "observed_at": "2026-01-31T12:00:00.000000Z",
        "payload_hash": hashlib.sha256(b"bitcoin").digest()[:16].hex(),
        "run_id": 7,
    }
    assert asset["provenance"]["max_supply"]["source"] == "coinpaprika"
    assert asset["provenance"]["max_supply"]["run_id"] == 8
    assert set(asset["provenance"]) == set(VALUES)
    assert asset["provenance"]["volume_24h_usd"] is None


@pytest.mark.usefixtures("bitcoin")
def test_listings_stand_side_by_side_with_the_evidence_of_their_match(client):
    listings = client.get("/data/bitcoin").json["data"]["listings"]

    assert [each["source"] for each in listings] == ["coingecko", "coinpaprika", "csv"]
    assert [each["price_usd"] for each in listings] == [64000.1, None, 64001]
    assert listings[2]["match_method"] == "symbol_and_name"
    assert listings[2]["match_score"] == 0.9
    assert listings[2]["match_evidence"] == {"listings": ["a", "b"], "n": 1}
    assert len(bytes.fromhex(listings[0]["payload_hash"])) == 16


def test_evidence_keeps_every_digit(client, engine):
    evidence = {"ratio": 12345678901234567890, "name": "ü"}
    with engine.begin() as conn:
        add_listing(conn, add_asset(conn, "bitcoin"), "csv", "a", match_evidence=evidence)

    text = client.get("/data/bitcoin").text

    assert '"match_evidence":{"name": "ü", "ratio": 12345678901234567890}' in text


@pytest.mark.usefixtures("bitcoin")
def test_numbers_are_strings_everywhere_for_those_who_ask(client):
    asset = client.get("/data/bitcoin?decimals=string").json["data"]

    assert asset["price_usd"] == "64000.10"
    assert asset["listings"][0]["price_usd"] == "64000.10"
    assert asset["listings"][2]["match_score"] == "0.900"


def test_an_asset_without_listings_is_shown(client, engine):
    with engine.begin() as conn:
        add_asset(conn, "bitcoin")

    asset = client.get("/data/bitcoin").json["data"]

    assert asset["listings"] == []
    assert asset["provenance"] == dict.fromkeys(VALUES)


@pytest.mark.parametrize("slug", ["bitcoi", "Bitcoin", "%F0%9F%AA%99", "a" * 3000, "%25"])
@pytest.mark.usefixtures("bitcoin")
def test_an_unknown_asset_is_not_found(client, slug):
    response = client.get(f"/data/{slug}")

    assert response.status_code == 404
    assert response.content_type == "application/problem+json"
    assert response.json["code"] == "asset_not_found"


@pytest.mark.usefixtures("bitcoin")
def test_an_unknown_parameter_is_refused(client):
    response = client.get("/data/bitcoin?decimal=string")

    assert response.json["errors"] == [
        {"parameter": "decimal", "detail": "unknown parameter; did you mean 'decimals'?"}
    ]


def test_a_renamed_coin_is_found_under_its_old_name_and_shows_all_its_names(client, engine):
    load(engine, COINGECKO, market("terra", "luna", "Terra", 2, EARLIER))
    load(engine, COINGECKO, market("terra", "lunc", "Terra Classic", 1, LATER))

    found = {q: client.get(f"/data?q={q}").json["data"] for q in ("luna", "lunc", "terra+classic")}
    now = client.get("/data/terra").json["data"]["listings"]
    then = client.get(f"/data/terra?as_of={NOON_TEXT}").json["data"]["listings"]

    assert {q: [asset["slug"] for asset in assets] for q, assets in found.items()} == {
        "luna": ["terra"],
        "lunc": ["terra"],
        "terra+classic": ["terra"],
    }
    names = [
        {"symbol": "luna", "name": "Terra", "first_observed_at": "2026-01-02T11:55:00.000000Z"},
        {
            "symbol": "lunc",
            "name": "Terra Classic",
            "first_observed_at": "2026-01-02T12:05:00.000000Z",
        },
    ]
    assert [listing["names"] for listing in now] == [names]
    assert [(listing["name"], listing["names"]) for listing in then] == [("Terra", names[:1])]


def test_a_slug_that_is_gone_leads_to_what_its_listings_are_now(client, engine):
    load(engine, COINGECKO, market("one", "one", "One"), market("two", "two", "Two"))
    load(engine, COINPAPRIKA, ticker("uno-uno", "UNO", "Uno"))
    for slug, into in (("one", "uno"), ("uno", "two")):
        with engine.begin() as conn:
            merge(conn, slug, into, Attribution("ann", "one coin"))

    for path in ("/data/one", "/data/uno", "/data/uno/history", "/data/one/raw"):
        gone = client.get(path)
        assert (gone.status_code, gone.json["code"]) == (404, "asset_not_found")
        assert gone.json["detail"].endswith("removed; its listings belong to /data/two now")
    assert "any more" not in client.get("/data/three").json["detail"]
