"""`/reviews`: pairs of listings that wait for a decision, and those that were decided."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from shared.schema.identity import contracts, corrections, matches
from shared.schema.market import listings
from tests.fakes.batches import COINGECKO, COINPAPRIKA, load, market, ticker
from tests.fakes.document import check_answer
from worker.curation import corrections as deciding
from worker.curation.recording import Attribution

ANN = Attribution("ann", "asked its team")
META = ("coinpaprika", "meta-meta")
API_SETTINGS = {"API_CACHE_MB": "0"}


@pytest.fixture(autouse=True)
def namesakes(engine):
    """Two listings of one source that a third may be, and a pair that is linked."""
    load(
        engine,
        COINGECKO,
        market("meta-1", "meta", "Meta", 1),
        market("meta 2", "meta", "Meta", "2.50"),
        market("bitcoin", "btc", "Bitcoin", 1),
    )
    load(
        engine,
        COINPAPRIKA,
        ticker("meta-meta", "META", "Meta", 1),
        ticker("btc-bitcoin", "BTC", "Bitcoin", 1),
    )


def reviews(client, **query):
    answer = client.get("/reviews", query_string=query)
    assert answer.status_code == 200, answer.text
    return answer.json["data"]


def pairs(found):
    return [(each["one"]["external_id"], each["other"]["external_id"]) for each in found]


def split(engine, ref, other=META):
    with engine.begin() as conn:
        return deciding.split(conn, ref, other, ANN).id


def test_an_open_review_has_both_listings_its_evidence_and_the_commands(client, engine):
    with engine.begin() as conn:
        conn.execute(
            contracts.insert().values(
                source="coingecko", external_id="meta 2", chain="ethereum", address="0x1"
            )
        )
    response = client.get("/reviews")
    check_answer(client.get("/openapi.json").json, "/reviews", response)
    found = {each["one"]["external_id"]: each for each in response.json["data"]}
    assert found.keys() == {"meta-1", "meta 2"}
    assert response.json["meta"]["total"] == 2

    second = found["meta 2"]
    with engine.connect() as conn:
        stored = conn.scalars(
            select(matches.c.evidence)
            .join(listings, listings.c.id == matches.c.listing_id)
            .where(listings.c.external_id == "meta 2")
        ).one()
    assert (second["open"], second["verdict"], second["decision"]) == (True, "review", None)
    assert second["evidence"] == stored
    assert second["one"]["contracts"] == ["ethereum:0x1"]
    assert second["one"]["price_usd"] == 2.5
    assert '"price_usd":2.50,' in response.text
    assert second["other"]["source"] == "coinpaprika"
    assert second["other"]["name"] == "Meta"
    assert second["commands"] == {
        "one_coin": "worker identity link coingecko 'meta 2' "
        f"{second['other']['asset']} --reason …",
        "two_coins": "worker identity split coingecko 'meta 2' --from coinpaprika meta-meta "
        "--reason …",
        "undo": None,
    }


def test_a_decided_pair_is_not_open_and_names_who_decided_and_how_to_undo_it(client, engine):
    made = split(engine, ("coingecko", "meta-1"))

    [decided] = reviews(client, open="false")
    assert decided["decision"] == {
        "id": made,
        "same": False,
        "decided_by": "ann",
        "reason": "asked its team",
        "decided_at": decided["since"],
    }
    assert pairs([decided]) == [("meta-1", "meta-meta")]
    assert decided["commands"]["undo"] == f"worker identity undo {made} --reason …"
    assert decided["evidence"] is decided["verdict"] is None
    assert pairs(reviews(client, open="true")) == [("meta 2", "meta-meta")]
    assert [each["open"] for each in reviews(client)] == [True, False]

    with engine.begin() as conn:
        deciding.undo(conn, made, ANN)
    assert reviews(client, open="false") == []


def test_a_link_whose_newest_prices_differ_is_open(client, engine):
    assert ("bitcoin", "btc-bitcoin") not in pairs(reviews(client))
    at = "2026-01-02T12:10:00.000Z"
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 5, at))

    [doubted] = [each for each in reviews(client, asset="bitcoin") if each["open"]]
    assert (doubted["verdict"], pairs([doubted])) == ("linked", [("bitcoin", "btc-bitcoin")])


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"source": "csv"}, 0),
        ({"source": "coingecko,csv"}, 2),
        ({"asset": "bitcoin"}, 0),
        ({"asset": "nothing"}, 0),
        ({"open": "false"}, 0),
        ({"open": "true", "source": "coinpaprika"}, 2),
    ],
)
def test_reviews_are_found_by_state_source_and_asset(client, query, found):
    assert len(reviews(client, **query)) == found


def test_reviews_are_found_by_the_asset_of_either_side(client):
    for each in reviews(client):
        for side in ("one", "other"):
            assert each in reviews(client, asset=each[side]["asset"])


def test_pages_show_each_review_once_open_ones_first(client, engine):
    split(engine, ("coingecko", "meta-1"))
    split(engine, ("coingecko", "bitcoin"), ("coinpaprika", "btc-bitcoin"))
    split(engine, ("coingecko", "bitcoin"))
    with engine.begin() as conn:
        older = corrections.c.decided_at - timedelta(days=1)
        first = select(func.min(corrections.c.id)).scalar_subquery()
        conn.execute(update(corrections).where(corrections.c.id == first).values(decided_at=older))
    whole = reviews(client)
    assert [each["open"] for each in whole] == [True, False, False, False]
    assert whole[-1]["one"]["external_id"] == "meta-1"

    seen, cursor = [], {}
    while cursor is not None:
        answer = client.get("/reviews", query_string={"page_size": 1, **cursor}).json
        seen += answer["data"]
        following = answer["meta"]["next_cursor"]
        cursor = {"cursor": following} if following else None

    assert seen == whole


def test_of_several_decisions_on_a_pair_the_newest_is_shown(client, engine):
    first = split(engine, ("coingecko", "meta-1"))
    with engine.begin() as conn:
        deciding.undo(conn, first, ANN)
    again = split(engine, ("coingecko", "meta-1"))

    [decided] = reviews(client, open="false")
    assert decided["decision"]["id"] == again
