"""Drift that runs find, what it says, and its acknowledgement."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
from sqlalchemy import Engine, func, select

from shared.schema.operations import drift, runs, shapes
from shared.schema.raw import RAW
from tests.fakes.batches import COINGECKO
from tests.fakes.drifting import (
    COINS,
    SayingCoingecko,
    SayingCoinpaprika,
    found,
    ledger,
    load_file,
    markets,
    run,
    tickers,
    without,
)
from worker.sources.base import Policy


def test_the_shapes_of_coinpaprika_of_2022_and_of_2026(engine: Engine):
    quote = {"price": 1, "market_cap": 2, "volume_24h": 3}
    of_2022 = tickers(rank=1, circulating_supply=5, quotes={"USD": quote})
    of_2026 = tickers(1, rank=1, quotes={"USD": quote})

    assert run(engine, of_2022, kind=SayingCoinpaprika).succeeded
    assert found(engine) == []

    assert run(engine, of_2026, kind=SayingCoinpaprika).succeeded
    (gone,) = ledger(engine)
    assert (gone.path, gone.kind, gone.detail) == (
        "circulating_supply",
        "vanished",
        {"from": ["number"]},
    )
    assert (gone.records, gone.share, gone.first_run_id, gone.last_run_id) == (COINS, 1, 2, 2)
    assert gone.acknowledged_at is not None  # as it is declared: that it left is known


def test_a_field_that_the_schema_names_and_no_record_has_is_missing_from_the_first_run_on(
    engine: Engine,
):
    run(engine, tickers(), tickers(1), kind=SayingCoinpaprika)

    (missing,) = ledger(engine)
    assert (missing.path, missing.kind) == ("circulating_supply", "missing")
    assert missing.detail == {"required": False}
    assert (missing.first_run_id, missing.last_run_id) == (1, 2)


def test_the_shapes_of_coingecko_of_2021_and_of_2026_as_files(engine: Engine):
    of_2021 = markets(ath=9, roi=None, price_change_percentage_1y_in_currency=240.7)
    of_2026 = markets(
        5,
        ath=9,
        roi={"times": 42.7, "currency": "btc"},
        price_change_percentage_1h_in_currency=-0.1,
        price_change_percentage_7d_in_currency=2.9,
    )

    assert load_file(engine, COINGECKO, of_2021).succeeded
    assert load_file(engine, COINGECKO, of_2026).succeeded

    assert found(engine) == [
        ("price_change_percentage_1h_in_currency", "appeared", False),
        ("price_change_percentage_1y_in_currency", "vanished", False),
        ("price_change_percentage_7d_in_currency", "appeared", False),
        ("roi.currency", "appeared", False),
        ("roi.times", "appeared", False),
    ]


@pytest.mark.parametrize("kind", ["appeared", "vanished"])
def test_an_example_is_a_raw_record_that_is_stored(engine: Engine, kind: str):
    run(engine, markets(old=1), markets(1, new=1))

    (difference,) = ledger(engine, kind=kind)
    example = difference.example
    raw = RAW["coingecko"].c
    with engine.connect() as conn:
        payload = conn.scalar(
            select(raw.payload).where(
                raw.external_id == example["external_id"],
                raw.observed_at == func.cast(example["observed_at"], raw.observed_at.type),
                raw.payload_hash == bytes.fromhex(example["payload_hash"]),
            )
        )

    assert payload is not None
    assert difference.path in payload


def test_every_record_counts_the_refused_too(engine: Engine):
    refused = {"id": "odd", "only_here": True}
    result = run(engine, [*markets(rank=lambda n: n if n % 2 else None), refused])

    assert result.counts.rejected == 1
    with engine.connect() as conn:
        rows = conn.execute(select(shapes.c.path, shapes.c.type, shapes.c.records)).all()
    counted = {(row.path, row.type): row.records for row in rows}
    assert counted["", "object"] == result.counts.fetched == COINS + 1
    assert counted["rank", "number"] == counted["rank", "null"] == COINS / 2
    assert counted["only_here", "boolean"] == 1
    assert counted["id", "string"] == COINS + 1


def test_a_field_that_changed_its_type_says_so_once_it_is_more_than_some_odd_records(
    engine: Engine,
):
    run(engine, markets(rank=1), markets(1, rank="1"), markets(2, rank="2"))

    (changed,) = ledger(engine)
    assert (changed.path, changed.kind) == ("rank", "changed_type")
    assert changed.detail == {"from": ["number"], "to": ["string"]}
    assert (changed.first_run_id, changed.last_run_id, changed.records) == (2, 3, COINS)


def test_what_is_acknowledged_stays_quiet_until_it_differs_anew(engine: Engine):
    run(engine, markets(rank=1), markets(1, rank="1"))
    with engine.begin() as conn:
        conn.execute(drift.update().values(acknowledged_at=func.now()))

    run(engine, markets(2, rank="1"))
    assert found(engine) == [("rank", "changed_type", True)]

    run(engine, markets(3, rank=True))
    assert found(engine) == [("rank", "changed_type", False)]


def test_a_field_that_vanishes_again_is_to_be_acknowledged_again(engine: Engine):
    run(engine, markets(rank=1), markets(1))
    assert found(engine) == [("rank", "vanished", False)]
    with engine.begin() as conn:
        conn.execute(drift.update().values(acknowledged_at=func.now()))

    run(engine, markets(2))
    assert found(engine) == [("rank", "vanished", True)]
    run(engine, markets(3, rank=1))
    assert found(engine) == [("rank", "vanished", True)]
    run(engine, markets(4))
    assert found(engine) == [("rank", "vanished", False)]


def test_a_field_that_leaves_little_by_little_vanishes_once_half_of_it_is_gone(engine: Engine):
    half = markets(1)
    for each in half[: COINS // 4]:
        each["rank"] = 1

    run(engine, markets(rank=1), half, markets(2))

    (gone,) = ledger(engine)
    assert (gone.path, gone.kind, gone.first_run_id, gone.last_run_id) == ("rank", "vanished", 2, 3)


def test_a_field_that_turned_null_says_in_how_many_records(engine: Engine):
    run(engine, markets(rank=1), markets(1, rank=lambda n: None if n <= 5 else n))

    (null,) = ledger(engine)
    assert (null.path, null.kind, null.detail["all"]) == ("rank", "became_null", False)
    assert (null.records, float(null.share)) == (5, 0.25)


def test_nulls_that_were_there_before_are_no_drift_until_there_is_nothing_else(engine: Engine):
    def some(n: int) -> int | None:
        return None if n <= 5 else n

    run(engine, markets(rank=some), markets(1, rank=some))
    assert found(engine) == []

    run(engine, markets(2, rank=None))
    (null,) = ledger(engine)
    assert (null.kind, null.detail["all"]) == ("became_null", True)


def test_a_price_that_turns_null_fails_the_run_until_it_is_acknowledged(engine: Engine):
    run(engine, markets())

    for minute in (1, 2):
        failed = run(engine, markets(minute, current_price=None))
        assert (failed.ending.outcome, failed.ending.reason) == ("failed", "drift")
        assert "'current_price' became null in 100% of the records" in (failed.ending.error or "")
        assert failed.counts.new == COINS

    with engine.begin() as conn:
        assert conn.execute(select(runs.c.reason).where(runs.c.id == 3)).scalar() == "drift"
        conn.execute(drift.update().values(acknowledged_at=func.now()))
    assert run(engine, markets(3, current_price=None)).succeeded

    run(engine, markets(4))
    assert run(engine, markets(5, current_price=None)).ending.reason == "drift"


def test_a_price_of_coinpaprika_that_turns_null_fails_the_run(engine: Engine):
    quote = {"market_cap": 2, "volume_24h": 3}
    run(engine, tickers(quotes={"USD": {"price": 1, **quote}}), kind=SayingCoinpaprika)

    failed = run(
        engine, tickers(1, quotes={"USD": {"price": None, **quote}}), kind=SayingCoinpaprika
    )

    assert (failed.ending.outcome, failed.ending.reason) == ("failed", "drift")
    assert "'quotes.USD.price' became null in 100% of the records" in (failed.ending.error or "")


@dataclass(frozen=True, kw_only=True)
class SayingRanks(SayingCoingecko):
    drift_policy: ClassVar = {"rank": Policy.FAIL}


def test_a_field_that_vanishes_fails_the_run_where_that_is_its_policy(engine: Engine):
    run(engine, markets(rank=1), kind=SayingRanks)

    failed = run(engine, markets(1), kind=SayingRanks)

    assert (failed.ending.outcome, failed.ending.reason) == ("failed", "drift")
    assert "'rank' vanished in 100% of the records" in (failed.ending.error or "")


def test_a_run_without_prices_fails_and_names_the_field(engine: Engine):
    run(engine, markets())

    failed = run(engine, without(markets(1), "current_price"))

    assert (failed.ending.outcome, failed.ending.reason) == ("failed", "too_many_rejects")
    assert "current_price: Missing data for required field" in (failed.ending.error or "")
    assert ("current_price", "vanished", False) in found(engine)


def test_a_run_that_failed_of_something_else_keeps_its_reason(engine: Engine):
    run(engine, markets())

    failed = run(engine, markets(1, current_price="1.5"))

    assert failed.ending.reason == "too_many_rejects"
    assert ("current_price", "unexpected", False) in found(engine)
    assert ("current_price", "changed_type", False) in found(engine)


def test_what_the_schema_does_not_take_is_unexpected_from_the_first_run_on(engine: Engine):
    run(engine, markets(name=lambda n: None if n == 1 else f"Coin {n}"))

    (unexpected,) = ledger(engine)
    assert (unexpected.path, unexpected.kind) == ("name", "unexpected")
    assert unexpected.detail == {"expected": "string", "to": ["null"]}
    assert unexpected.records == 1
