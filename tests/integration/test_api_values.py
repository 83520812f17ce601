"""`GET /data/{asset}`: each value, how it was chosen, and the other candidates."""

from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from shared.model.records import VALUES as EVERY_VALUE
from shared.schema.market import assets, listings, observations
from shared.schema.raw import RAW
from tests.fakes.api import UNCACHED
from tests.fakes.batches import COINGECKO, COINPAPRIKA, CSV, NOON, load, market, row, ticker
from tests.fakes.databases import empty
from tests.fakes.model import TRUST, VALUES, Told, choose, current_candidates, spread
from tests.fakes.reference import plain

API_SETTINGS = UNCACHED

SOURCES = {"coingecko": COINGECKO, "coinpaprika": COINPAPRIKA, "csv": CSV}
LATE = "2026-01-02T13:00:00.001Z"
"""More than an hour after noon."""


def values_of(client, slug="bitcoin", **query):
    answer = client.get(f"/data/{slug}", query_string={"decimals": "string", **query})
    assert answer.status_code == 200, answer.text
    return answer.json["data"]["values"]


def load_three(engine, gecko, paprika, csv, *, paprika_at=NOON):
    load(engine, CSV, row("btc", price=csv))
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin", paprika, paprika_at))
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", gecko))


def test_of_three_it_is_the_median_and_the_outlier_is_named(client, engine):
    load_three(engine, 150, 101, "100.50")

    price = values_of(client)["price_usd"]

    assert price["chosen_as"] == "median"
    assert (price["value"], price["source"], price["external_id"]) == ("100.50", "csv", "btc")
    assert price["fresh_sources"] == 3
    assert price["outliers"] == [{"source": "coingecko", "external_id": "bitcoin", "value": "150"}]
    assert price["spread_percent"] == "49.253731"
    assert price["divergent"] is True


def test_of_two_it_is_the_most_trusted_source_s(client, engine):
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin", 104))
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 100))

    price = values_of(client)["price_usd"]

    assert price["chosen_as"] == "most_trusted"
    assert (price["value"], price["source"]) == ("100", "coingecko")
    assert (price["fresh_sources"], price["spread_percent"]) == (2, "4.000000")
    assert (price["divergent"], price["outliers"]) == (False, [])


def test_what_is_stale_counts_for_nothing_and_leaves_the_only_one(client, engine):
    load_three(engine, 100, 101, "100.5", paprika_at=LATE)

    price = values_of(client)["price_usd"]

    assert price["chosen_as"] == "only"
    assert (price["value"], price["source"]) == ("101", "coinpaprika")
    assert price["observed_at"] == "2026-01-02T13:00:00.001000Z"
    assert (price["fresh_sources"], price["spread_percent"]) == (1, None)


def test_an_asset_of_one_listing_has_its_values_and_what_is_unknown_is_null(client, engine):
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin", 1.066896094313454e-06))

    values = values_of(client)

    assert set(values) == set(EVERY_VALUE)
    assert values["price_usd"] == values["price_usd"] | {
        "value": "0.000001066896094313454",
        "chosen_as": "only",
        "fresh_sources": 1,
        "spread_percent": None,
        "divergent": False,
        "outliers": [],
    }
    assert values["max_supply"] is None
    assert values["circulating_supply"] is None


def test_each_value_has_its_own_origin(client, engine):
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin", 100))
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", "null"))

    values = values_of(client)

    assert values["price_usd"]["source"] == "coinpaprika"
    assert (values["price_usd"]["chosen_as"], values["price_usd"]["fresh_sources"]) == ("only", 1)
    assert values["market_cap_usd"]["source"] == "coingecko"
    assert values["market_cap_usd"]["chosen_as"] == "most_trusted"


def test_a_value_names_its_raw_record_its_run_and_when_it_came_in(client, engine):
    load_three(engine, 102, 101, "100")

    price = values_of(client)["price_usd"]

    raw = RAW["coinpaprika"]
    with engine.connect() as conn:
        record = conn.execute(select(raw)).one()
        observed = conn.execute(
            select(observations.c.ingested_at).where(
                observations.c.payload_hash == record.payload_hash
            )
        ).scalar_one()
    assert price["payload_hash"] == record.payload_hash.hex()
    assert price["run_id"] == record.run_id
    assert price["ingested_at"] == plain(record.ingested_at) == plain(observed)


def test_as_of_a_time_the_values_are_of_the_listings_then(client, engine):
    load_three(engine, 100, 101, "130")
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 120, LATE))

    now, then = values_of(client), values_of(client, as_of=NOON)

    assert (now["price_usd"]["value"], now["price_usd"]["chosen_as"]) == ("120", "only")
    assert (then["price_usd"]["value"], then["price_usd"]["chosen_as"]) == ("100", "median")
    assert [each["source"] for each in then["price_usd"]["outliers"]] == ["csv"]


def test_the_asset_leads_on_to_its_raw_records_and_its_history(client, engine):
    load_three(engine, 100, 101, "102")

    answer = client.get("/data/bitcoin")

    assert answer.headers.getlist("Link") == [
        '</data/bitcoin/raw>; rel="via"',
        '</data/bitcoin/history>; rel="version-history"',
    ]
    for target in ("/data/bitcoin/raw", "/data/bitcoin/history"):
        assert client.get(target).status_code == 200


# --- against a model -----------------------------------------------------------------------------


@st.composite
def told(draw):
    return Told(
        source=draw(st.sampled_from(tuple(SOURCES))),
        external_id="alpha",
        symbol="A",
        name="Alpha",
        minute=draw(st.integers(0, 100)),
        price=draw(
            st.sampled_from(("1", "1.04", "1.2", "0", "null", "0.000000012345678901234567"))
        ),
        cap=draw(st.sampled_from(("1000", "1100", "2000.0", "0", "null"))),
        volume=draw(st.sampled_from(("10", "0", "null"))),
        supply=draw(st.sampled_from(("100", "0", "null"))),
    )


@settings(
    max_examples=settings.default.max_examples // 4,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(records=st.lists(told(), min_size=1, max_size=6))
def test_every_value_is_as_the_rule_has_it(engine, client, records):
    empty(engine)
    for record in records:
        load(engine, SOURCES[record.source], record.payload)
    newest = {}
    for record in records:
        other = newest.setdefault(record.key, record)
        if record.observed_at >= other.observed_at:  # of one instant the last received
            newest[record.key] = record
    with engine.connect() as conn:
        rows = conn.execute(
            select(assets.c.slug, listings.c.source, listings.c.external_id).join(assets)
        ).all()
    for slug in {each.slug for each in rows}:
        cluster = [newest[each.source, each.external_id] for each in rows if each.slug == slug]

        found = values_of(client, slug)

        for at, value in enumerate(VALUES):
            assert (found[value] and summary_of(found[value])) == expected(cluster, at)


def summary_of(found):
    return (
        found["value"],
        (found["source"], found["external_id"]),
        found["observed_at"],
        found["payload_hash"],
        found["chosen_as"],
        found["fresh_sources"],
        found["spread_percent"],
        [(each["source"], each["value"]) for each in found["outliers"]],
    )


def last_known(cluster, at):
    """Write what is shown where no listing says anything current: the newest of them."""
    knowing = [
        told
        for told in cluster
        if told.values[at] is not None and (told.values[at] or VALUES[at] == "volume_24h_usd")
    ]
    if not knowing:
        return None
    newest = max(knowing, key=lambda told: (told.observed_at, -TRUST.index(told.source)))
    shown = (plain(newest.values[at]), newest.key, plain(newest.observed_at))
    return (*shown, newest.payload_hash.hex(), "last_known", 0, None, [])


def expected(cluster, at):
    candidates = current_candidates(cluster, at)
    teller = choose(candidates, at)
    if teller is None:
        return last_known(cluster, at)
    amounts = sorted(candidate.values[at] for candidate in candidates)
    median = amounts[(len(amounts) - 1) // 2]
    limit = median * (10, 30, 90, 20)[at] / 100
    outliers = [
        (candidate.source, plain(candidate.values[at]))
        for candidate in sorted(candidates, key=lambda candidate: candidate.source)
        if len(candidates) >= 3 and abs(candidate.values[at] - median) > limit
    ]
    return (
        plain(teller.values[at]),
        teller.key,
        plain(teller.observed_at),
        teller.payload_hash.hex(),
        {1: "only", 2: "most_trusted"}.get(len(candidates), "median"),
        len(candidates),
        plain(spread([Decimal(amount) for amount in amounts])),
        outliers,
    )
