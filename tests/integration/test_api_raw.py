"""`GET /data/{asset}/raw`: the payloads behind an asset's values, as they were received."""

import hashlib
import re
import subprocess
from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert, select

from shared.schema.market import listings, observations
from tests.fakes.api import add_asset, add_listing, api_on
from tests.fakes.batches import COINGECKO, COINPAPRIKA, LATER, NOON, load, market, ticker
from tests.fakes.plans import read_by
from tests.fakes.processes import PROJECT
from tests.fakes.retention import SINCE_2020, retention_from
from worker.maintenance.prune.records import prune

PRICE = "1.066896094313454e-06"
CAP = 123456789012345678
"""Beyond what a double holds."""
AT_NOON = datetime.fromisoformat(NOON)
DIGITS = "0.000001066896094313454"


@pytest.fixture
def bitcoin(engine):
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 1, NOON))
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", PRICE, LATER, market_cap=CAP))
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin", 1.07e-06, LATER))


def payloads_in(text):
    """Cut the payloads out of an answer, byte for byte."""
    return re.findall(r'"payload":(\{.*?\}),"pruned":', text)


def problem_of(client, query="", slug="bitcoin"):
    answer = client.get(f"/data/{slug}/raw{query}")
    assert answer.content_type == "application/problem+json"
    return answer.status_code, answer.json["code"]


@pytest.mark.usefixtures("bitcoin")
def test_there_is_the_newest_record_of_each_listing(client):
    answer = client.get("/data/bitcoin/raw").json

    assert [(each["source"], each["external_id"]) for each in answer["data"]] == [
        ("coingecko", "bitcoin"),
        ("coinpaprika", "btc-bitcoin"),
    ]
    assert answer["meta"]["count"] == 2
    gecko, paprika = answer["data"]
    assert gecko["observed_at"] == "2026-01-02T12:05:00.000000Z"
    assert gecko["payload"]["id"] == "bitcoin"
    assert paprika["payload"]["quotes"]["USD"]["price"] == 1.07e-06


@pytest.mark.usefixtures("bitcoin")
def test_a_payload_keeps_every_digit_and_is_what_its_hash_is_of(client):
    answer = client.get("/data/bitcoin/raw")

    texts = payloads_in(answer.text)
    assert len(texts) == 2
    assert f'"current_price": {DIGITS}' in texts[0]
    assert f'"market_cap": {CAP}' in texts[0]
    for record, text in zip(answer.json["data"], texts, strict=True):
        assert record["payload_hash"] == hashlib.sha256(text.encode()).hexdigest()[:32]


def test_the_guides_recipe_cuts_the_payload_out_whatever_is_in_it(client, engine):
    guide = (PROJECT / "api" / "README.md").read_text(encoding="utf-8")
    recipe = re.search(r"\| (sed '.*\"payload\".*\| cut -c1-32)\n", guide)[1]
    like_the_answer = '"payload":{"a":1},"pruned":null}],"meta":{}'
    more = {"payload": {"a": like_the_answer}, "pruned": {"b": "é\n\u2028"}, "z": {"pruned": {}}}
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", PRICE, **more))
    answer = client.get("/data/bitcoin/raw")

    cut = subprocess.run(["sh", "-c", recipe], input=answer.data, capture_output=True, check=True)

    assert cut.stdout.decode() == answer.json["data"][0]["payload_hash"] + "\n"


@pytest.mark.usefixtures("bitcoin")
def test_two_requests_lead_from_a_value_to_what_was_received(client):
    price = client.get("/data/bitcoin").json["data"]["values"]["price_usd"]

    [record] = client.get(f"/data/bitcoin/raw?hash={price['payload_hash']}").json["data"]

    same = record.keys() - {"payload", "pruned"}
    assert {name: record[name] for name in same} == {name: price[name] for name in same}
    both = {"hash": price["payload_hash"], "observed_at": price["observed_at"]}
    assert client.get("/data/bitcoin/raw", query_string=both).json["data"] == [record]


@pytest.mark.usefixtures("bitcoin")
def test_the_records_of_an_instant(client):
    def ask(**query):
        return client.get("/data/bitcoin/raw", query_string=query)

    first, *_ = client.get("/data/bitcoin/history?source=coingecko").json["data"]
    [noon] = ask(observed_at=NOON).json["data"]
    both = ask(observed_at="2026-01-02T13:05:00+01:00").json["data"]

    assert noon["payload_hash"] == first["payload_hash"]
    assert noon["payload"]["current_price"] == 1
    assert [each["source"] for each in both] == ["coingecko", "coinpaprika"]
    for query in (
        {"observed_at": LATER, "hash": first["payload_hash"]},
        {"observed_at": "2026-01-02T12:00:00.000001Z"},
        {"observed_at": "2999-01-01T00:00:00Z"},
        {"observed_at": NOON, "source": "coinpaprika"},
    ):
        answer = ask(**query)
        assert (answer.status_code, answer.json["code"]) == (404, "raw_not_found"), query


def test_of_two_records_of_one_instant_it_is_the_one_that_prevails_or_that_of_the_hash(
    client, engine
):
    for price in (1, 2):
        load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", price))
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 3, LATER))
    then = client.get(f"/data/bitcoin?as_of={NOON}").json["data"]["listings"][0]
    told = client.get("/data/bitcoin/history").json["data"][:2]

    [record] = client.get(f"/data/bitcoin/raw?observed_at={NOON}").json["data"]

    assert record["payload_hash"] == then["payload_hash"]
    for each in told:
        query = f"observed_at={each['observed_at']}&hash={each['payload_hash']}"
        [found] = client.get(f"/data/bitcoin/raw?{query}").json["data"]
        assert found["payload"]["current_price"] == each["price_usd"]


def test_a_hash_with_its_instant_is_looked_up_and_no_history_walked(engine, reader_url, conn):
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 1))
    listing, first = conn.execute(select(listings.c.id, listings.c.payload_hash)).one()
    rows = [
        {
            "listing_id": listing,
            "observed_at": AT_NOON + timedelta(minutes=number),
            "run_id": 1,
            "payload_hash": number.to_bytes(16, "big"),
            "price_usd": 1,
        }
        for number in range(1, 10_000)
    ]
    conn.execute(insert(observations), rows)
    conn.exec_driver_sql("VACUUM ANALYZE observations")

    with api_on(reader_url, API_CACHE_MB="0") as client:
        path, hash_ = "/data/bitcoin/raw", {"hash": first.hex()}
        _, alone = read_by(engine, client, path, hash_)
        _, both = read_by(engine, client, path, {**hash_, "observed_at": NOON})

    assert both * 3 < alone


@pytest.mark.usefixtures("bitcoin")
@pytest.mark.parametrize(
    ("query", "sources"),
    [
        ("source=coingecko", ["coingecko"]),
        ("external_id=btc-bitcoin", ["coinpaprika"]),
        ("source=coingecko&external_id=bitcoin", ["coingecko"]),
    ],
)
def test_a_listing_can_be_chosen(client, query, sources):
    found = client.get(f"/data/bitcoin/raw?{query}").json["data"]

    assert [each["source"] for each in found] == sources


@pytest.mark.usefixtures("bitcoin")
def test_a_record_of_before_is_found_by_its_hash(client):
    history = client.get("/data/bitcoin/history?source=coingecko").json["data"]
    first = history[0]["payload_hash"]

    [record] = client.get(f"/data/bitcoin/raw?hash={first}").json["data"]

    assert record["observed_at"] == "2026-01-02T12:00:00.000000Z"
    assert record["payload"]["current_price"] == 1
    assert problem_of(client, f"?hash={first}&source=coinpaprika") == (404, "raw_not_found")


def test_a_record_of_another_asset_is_not_found_by_its_hash(client, engine, bitcoin):  # noqa: ARG001
    load(engine, COINGECKO, market("ether", "eth", "Ether", 2))
    theirs = client.get("/data/ether/raw").json["data"][0]["payload_hash"]

    assert problem_of(client, f"?hash={theirs}") == (404, "raw_not_found")


@pytest.mark.usefixtures("bitcoin")
def test_what_is_not_there_is_not_found_and_says_why(client):
    assert problem_of(client, slug="bitcoi") == (404, "asset_not_found")
    assert problem_of(client, slug="bit%00coin") == (404, "not_found")
    assert problem_of(client, "?source=csv") == (404, "listing_not_found")
    assert problem_of(client, f"?hash={'0' * 32}") == (404, "raw_not_found")


def test_an_asset_without_listings_has_no_raw_record(client, engine):
    with engine.begin() as conn:
        add_asset(conn, "alone")

    assert problem_of(client, slug="alone") == (404, "raw_not_found")


@pytest.mark.parametrize("keeps", [True, False])
def test_what_was_pruned_names_its_archive_and_its_observation_is_there(
    engine, reader_url, tmp_path, keeps
):
    old = "2019-07-01T12:00:00Z"
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 7, old))
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 8, NOON))
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin", 9, old))
    folder = tmp_path / "archive" if keeps else None
    gone = [
        pruned.archive
        for source in ("coingecko", "coinpaprika")
        for pruned in prune(engine, source, retention_from(SINCE_2020), folder)
        if pruned.partition.records
    ]

    with api_on(reader_url, API_CACHE_MB="0") as client:
        whole = client.get("/data/bitcoin/raw").json["data"]
        refused = client.get("/data/bitcoin/raw?source=coinpaprika")
        window = "start=2019-01-01T00:00:00Z&end=2020-01-01T00:00:00Z"
        [first] = client.get(f"/data/bitcoin/history?source=coingecko&{window}").json["data"]
        by_hash = client.get(f"/data/bitcoin/raw?hash={first['payload_hash']}")

    assert first["price_usd"] == 7
    assert [(each["source"], each["payload"] is None) for each in whole] == [
        ("coingecko", False),
        ("coinpaprika", True),
    ]
    assert [each["pruned"] is None for each in whole] == [True, False]
    pruned = whole[-1]["pruned"]
    assert len(gone) == 2
    for answer, file in zip((by_hash, refused), gone, strict=True):
        assert (answer.status_code, answer.json["code"]) == (404, "raw_pruned")
        if keeps:
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            assert f"the archive {file.name} (SHA-256 {digest})" in answer.json["detail"]
            assert str(tmp_path) not in answer.text
        else:
            assert "no copy was kept" in answer.json["detail"]
    if keeps:
        assert (pruned["archive"], pruned["digest"]) == (file.name, digest)
    else:
        assert (pruned["archive"], pruned["digest"]) == (None, None)


def test_the_newest_record_of_a_listing_is_the_one_its_values_are_of(client, engine):
    """Of two records of one instant the listing has the values of that received last."""
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 1))
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 2))

    shown = client.get("/data/bitcoin").json["data"]["listings"][0]
    [record] = client.get("/data/bitcoin/raw").json["data"]

    assert record["payload_hash"] == shown["payload_hash"]
    assert record["payload"]["current_price"] == shown["price_usd"]


@pytest.mark.usefixtures("bitcoin")
def test_an_answer_is_not_sent_twice(client):
    first = client.get("/data/bitcoin/raw")
    again = client.get("/data/bitcoin/raw", headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status_code, again.data) == (304, b"")
    assert "Last-Modified" not in first.headers


def test_a_listing_without_an_observation_has_no_raw_record(client, engine):
    with engine.begin() as conn:
        add_listing(conn, add_asset(conn, "bitcoin"), "csv", "a")

    assert problem_of(client) == (404, "raw_not_found")
