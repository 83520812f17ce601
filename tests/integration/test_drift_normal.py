"""Runs that drift is compared with, and runs that are not compared."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Engine, func, insert, select

from shared.errors import SourceError
from shared.model.records import Page
from shared.schema.operations import runs, shapes
from tests.fakes.batches import COINGECKO, CSV, row
from tests.fakes.drifting import (
    COINS,
    SayingCoingecko,
    at,
    found,
    ledger,
    load_file,
    markets,
    page,
    run,
)
from worker.drift.differences import FEWEST_RECORDS
from worker.drift.shapes import MOST_PATHS
from worker.ingest import pipeline
from worker.ingest.runs.options import Options


def test_a_renamed_field_is_told_from_others_by_what_the_same_listings_say(engine: Engine):
    old = markets(market_cap_rank=lambda n: n, rank_of_fees=lambda n: 1000 + n)
    new = markets(1, cap_rank=lambda n: n, market_cap_rate=0.5, rank_of_fees=lambda n: 1000 + n)

    run(engine, old, new)

    (renamed,) = ledger(engine, kind="renamed")
    assert renamed.path == "market_cap_rank"
    assert renamed.detail["to"] == "cap_rank"
    assert renamed.detail["value"] == 1
    assert renamed.detail["confidence"] > 0.8

    run(engine, [each | {"last_updated": at(2)} for each in new])
    (still,) = ledger(engine, kind="renamed")
    assert (still.detail, still.last_run_id) == (renamed.detail, 3)


def test_what_is_inside_something_that_came_or_went_came_or_went_with_it(engine: Engine):
    run(engine, markets(old={"a": {"b": 1}}), markets(1, new={"c": {"d": 1}}))

    assert found(engine) == [("new", "appeared", False), ("old", "vanished", False)]


def test_a_run_with_few_records_says_nothing_and_its_shapes_count(engine: Engine):
    few = FEWEST_RECORDS - 1
    run(engine, markets(old=1), markets(1, new=1)[:few])
    assert found(engine) == []

    run(engine, markets(2, old=1, new=1))
    (new,) = ledger(engine)
    assert (new.path, new.kind, new.first_run_id, new.last_run_id) == ("new", "appeared", 2, 3)


def test_a_file_imported_beside_the_sources_own_runs_says_what_is_new_and_not_what_is_absent(
    engine: Engine,
):
    run(engine, markets(rank=1))
    load_file(engine, COINGECKO, markets(1, rank=1))
    load_file(engine, COINGECKO, markets(2, other=1))
    assert found(engine) == [("other", "appeared", False)]

    run(engine, markets(3, rank=1))
    assert found(engine) == [("other", "appeared", False)]


def test_a_run_that_goes_on_with_the_rest_of_a_snapshot_says_nothing_of_what_is_absent(
    engine: Engine,
):
    @dataclass(frozen=True, kw_only=True)
    class InPages(SayingCoingecko):
        first: int

        def pages(self, *_: object) -> Iterator[Page]:
            yield Page([], None, None, not_modified=True, known_count=self.first)
            yield page(self, self.says[self.first :])

    run(engine, markets(rank=lambda n: None if n > COINS - FEWEST_RECORDS else n))
    rest = InPages(
        base_url="", requests_per_minute=1, says=markets(1), first=COINS - FEWEST_RECORDS
    )
    assert pipeline.run(engine, rest, None, Options()).counts.fetched == FEWEST_RECORDS
    assert found(engine) == []


def test_runs_from_before_shapes_were_counted_are_not_what_is_normal(engine: Engine):
    with engine.begin() as conn:
        conn.execute(
            insert(runs).values(
                source="coingecko",
                command="run",
                outcome="succeeded",
                host="h",
                pid=1,
                records_fetched=20,
                records_new=20,
            )
        )

    run(engine, markets(rank=1))

    assert found(engine) == []


def test_a_first_run_that_broke_off_is_not_what_is_normal(engine: Engine):
    @dataclass(frozen=True, kw_only=True)
    class BreakingOff(SayingCoingecko):
        def pages(self, *_: object) -> Iterator[Page]:
            yield page(self, self.says)
            raise SourceError("page 2: cut off", code="not_json")

    source = BreakingOff(base_url="", requests_per_minute=1, says=markets())
    assert not pipeline.run(engine, source, None, Options()).succeeded

    run(engine, markets(1, rank=1))

    assert found(engine) == []


def test_an_object_whose_names_are_data_does_not_fill_the_ledger(engine: Engine):
    def by_day(n: int) -> dict[str, int]:
        return {f"{n}-{day}": day for day in range(150)}

    run(engine, markets(), markets(1, by_day=by_day), markets(2, by_day=by_day))

    assert [(d.path, d.kind) for d in ledger(engine)] == [("by_day", "appeared")]
    with engine.connect() as conn:
        assert conn.scalar(select(func.count()).select_from(shapes)) < MOST_PATHS + 30


def test_the_headers_of_csv_files_are_their_shape(engine: Engine):
    rows = [json.loads(row(f"coin-{n}", price=str(n))) for n in range(COINS)]
    later = [json.loads(row(f"coin-{n}", price=str(n))) for n in range(COINS)]
    for each in later:
        each["row"]["close_usd"] = each["row"].pop("price_usd")
        each["row"]["note"] = ""
        each["declared"] = {"columns": {"price_usd": "close_usd"}}

    load_file(engine, CSV, rows)
    load_file(engine, CSV, later)

    assert [(path, kind) for path, kind, _ in found(engine)] == [
        ("close_usd", "appeared"),
        ("note", "appeared"),
        ("price_usd", "renamed"),
        ("price_usd", "vanished"),
    ]
