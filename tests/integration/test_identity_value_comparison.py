"""The accords in SQL are those of `corroboration`, and a batch that changes one decides anew."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text

from shared.schema.identity import matches
from shared.schema.market import listings
from tests.fakes.batches import COINGECKO, COINPAPRIKA, CSV, load, market, row, ticker
from tests.integration.test_identity import clusters
from worker.curation.review import read_reviews
from worker.identity.resolver.corroboration import compare_market_caps, compare_supplies
from worker.identity.resolver.evidence import Candidate
from worker.identity.value_comparison import accords
from worker.maintenance.verify import verify

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
WORDS = {"agree": 1, "differ": -1, "unknown": 0}
NUMBERS = ("price_usd", "market_cap_usd", "circulating_supply", "total_supply", "max_supply")

numbers = st.one_of(
    st.none(),
    st.sampled_from(
        [
            *("0", "1", "1.1", "1.1000000000000000000001", "2", "2.000000000000000000000000001"),
            *("100000000", "999999999", "1000000000", "1005000000", "1e-18", "21000000"),
            *("19214994", "18741512.0", "99999999999999999999999999999999999999999999.9", "10"),
        ]
    ).map(Decimal),
    st.decimals(min_value=0, max_value=10**20, places=6),
    st.integers(1, 10**12).map(Decimal),
)
candidates = st.builds(
    Candidate,
    listing_id=st.just(1),
    source=st.just("csv"),
    external_id=st.just("a"),
    symbol=st.just("A"),
    name=st.just("A"),
    observed_at=st.sampled_from([0, 1, 3599, 3600, 3601]).map(
        lambda s: NOON + timedelta(seconds=s)
    ),
    **dict.fromkeys(NUMBERS, numbers),
)
near = st.tuples(candidates, st.decimals("0.9", "1.1", places=4)).map(
    lambda pair: (
        pair[0],
        Candidate(
            *(1, "csv", "b", "A", "A", NOON),
            **{
                name: value and value * pair[1]
                for name in NUMBERS
                for value in [getattr(pair[0], name)]
            },
        ),
    )
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.one_of(st.tuples(candidates, candidates), near), min_size=20, max_size=40))
def test_accords_in_sql_are_those_in_python(engine: Engine, pairs):
    def side(name: str) -> str:
        kinds = {"observed_at": "timestamptz", **dict.fromkeys(NUMBERS, "numeric")}
        return ", ".join(
            f"CAST(:{name}_{each} AS {kind}) AS {each}" for each, kind in kinds.items()
        )

    stmt = text(
        f"SELECT ROW({', '.join(accords('x', 'y'))})::text"
        f" FROM (SELECT {side('one')}) AS x, (SELECT {side('other')}) AS y"
    )
    with engine.connect() as conn:
        for mine, its in pairs:
            sides = {"one": mine, "other": its}
            values = {
                f"{side}_{name}": getattr(candidate, name)
                for side, candidate in sides.items()
                for name in ("observed_at", *NUMBERS)
            }
            expected = [
                WORDS[compare(mine, its)] for compare in (compare_market_caps, compare_supplies)
            ]
            assert conn.scalar(stmt, values) == f"({','.join(map(str, expected))})"


def prices(engine: Engine) -> set[str]:
    with engine.connect() as conn:
        return {row.match_evidence.get("prices") for row in conn.execute(select(listings))}


def test_prices_that_come_apart_or_together_are_decided_anew_by_the_batch(engine: Engine):
    supplies = {"circulating_supply": None, "market_cap": None}
    coin = ("bitcoin", "btc", "Bitcoin")

    for day, price, agree, size in [
        (1, 101, "agree", 1),
        (2, 150, "agree", 1),
        (3, 1000, "agree", 1),
        (4, 1000, "agree", 1),
        (5, 1000, None, 2),
        (6, 99, "agree", 1),
    ]:
        load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin", 100, DAYS[day]))
        load(engine, COINGECKO, market(*coin, price, DAYS[day], **supplies))

        assert len(clusters(engine)) == size
        assert prices(engine) == {agree}
        assert verify(engine).findings == ()


def test_a_disputed_pair_is_in_review_though_its_newest_prices_are_hours_apart(engine: Engine):
    for hour, price in [(12, 100), (15, 1000)]:
        at = f"2026-01-02T{hour}:00:00Z"
        load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin", 100, at))
        load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", price, at))

    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 1000, "2026-01-02T18:00:00Z"))

    with engine.connect() as conn:
        reviews = read_reviews(conn, 10)
    assert [(each["verdict"], each["prices"]) for each in reviews] == [("linked", "disputed")]


def test_files_of_two_providers_that_come_apart_in_one_batch_are_decided_anew(engine: Engine):
    def rows(hour: int, *prices: int) -> list[bytes]:
        made = []
        for name, price in zip(("a:bitcoin", "b:bitcoin"), prices, strict=True):
            document = json.loads(row(name, price=str(price)))
            document["row"]["last_updated"] = f"2026-01-02T{hour}:00:00Z"
            made.append(json.dumps(document).encode())
        return made

    load(engine, CSV, *rows(12, 100, 100))
    assert prices(engine) == {"agree"}

    # Neither alone would differ from what the other was.
    load(engine, CSV, *rows(15, 150, 70))

    with engine.connect() as conn:
        assert conn.scalars(select(matches.c.prices)).all() == ["disputed"]
    assert verify(engine).findings == ()


DAYS = [f"2026-01-{day:02}T12:00:00.000Z" for day in range(1, 10)]


def of_paprika(external_id: str, symbol: str, name: str, price: int | None, at: str) -> bytes:
    told = json.loads(ticker(external_id, symbol, name, price, at))
    told["quotes"]["USD"]["market_cap"] = 50000
    return json.dumps(told).encode()


def of_csv(symbol: str, name: str, price: str, at: str) -> bytes:
    document = json.loads(row("terra", symbol, name, price))
    document["row"]["last_updated"] = at
    return json.dumps(document).encode()


def test_a_price_that_kept_two_apart_by_way_of_a_third_is_evidence(engine: Engine):
    """The two that are kept apart share a name; the price that does it is their asset-mate's."""
    unknown = {"circulating_supply": None, "market_cap": 50000}
    load(engine, COINGECKO, market("terra", "luna", "Terra", 1, DAYS[1], **unknown))
    load(engine, CSV, of_csv("luna", "Terra Token", "1.05", DAYS[0]))
    load(
        engine,
        COINPAPRIKA,
        of_paprika("lunacoin-terra", "LUNACOIN", "Terra Token", None, DAYS[5]),
    )
    load(engine, COINPAPRIKA, of_paprika("lunc-terra", "LUNACOIN", "Terra", 7, DAYS[0]))
    assert verify(engine).findings == ()

    load(engine, COINPAPRIKA, of_paprika("lunc-terra", "LUNACOIN", "Terra", None, DAYS[5]))

    assert verify(engine).findings == ()


def test_a_price_of_whom_a_former_namesake_is_one_with_is_evidence(engine: Engine):
    at, later = "2026-01-06T13:30:00.000Z", "2026-01-06T13:40:00.000Z"
    unknown = {"circulating_supply": None}
    load(engine, COINGECKO, market("luna", "luna", "Terra Token", "null", DAYS[1], **unknown))
    load(engine, COINPAPRIKA, of_paprika("lunc-terra", "LUNA", "Terra Token", None, DAYS[0]))
    load(engine, COINPAPRIKA, of_paprika("lunc-terra", "LUNC", "Classic", None, DAYS[8]))
    load(engine, CSV, of_csv("lunc", "Terra", "7", at))
    load(engine, COINGECKO, market("luna", "luna", "Terra Token", 1.05, at, **unknown))
    assert verify(engine).findings == ()

    load(engine, COINGECKO, market("luna", "luna", "Terra Token", 7, later, **unknown))

    assert verify(engine).findings == ()
