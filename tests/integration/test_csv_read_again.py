"""What becomes of earlier rejects and drift when CSV files are read again."""

import pytest
from sqlalchemy import update

from shared.schema.market import listings, observations
from shared.schema.operations import rejects
from tests.fakes.csv_operator import DAYS, HEADER, Desk, days
from worker.ingest.batch.rejects import OpenRejects
from worker.ingest.runs.options import Options
from worker.maintenance import retry
from worker.maintenance.verify import verify
from worker.sources.csv import CsvFiles


def refused_rows() -> list[str]:
    return [f"2024-07-{day:02},BTC,Bitcoin,n.n.,7,calm" for day in DAYS]


@pytest.mark.parametrize("how", ["import", "run"])
def test_a_changed_declaration_resolves_the_rejects_of_the_file(desk: Desk, how: str):
    again = desk.load if how == "import" else desk.run
    desk.write(HEADER, *days(), *refused_rows())
    desk.write(HEADER, *days(), "2024-07-01,BTC,Bitcoin,bad,7,calm", file="other.csv")
    again(*(["prices.csv", "other.csv"] if how == "import" else []))
    assert len(desk.open_rejects()) == 13

    desk.write(HEADER, *days(), *refused_rows(), declared='unknown = ["n.n."]')
    again()

    assert desk.open_rejects() == ["other.csv, line 14"]
    assert desk.count_rejects() == 13
    assert verify(desk.engine).findings == ()


def test_what_is_refused_again_under_the_new_declaration_stays_open(desk: Desk):
    desk.write(HEADER, *days(), "2024-07-01,BTC", "2024-07-02,BTC,Bitcoin,bad,7,calm")
    desk.load()

    desk.write(
        *(HEADER, *days(), "2024-07-01,BTC", "2024-07-02,BTC,Bitcoin,bad,7,calm"),
        declared='namespace = "mine"',
    )
    desk.load()

    # The broken line is the same reject; the row is another one, for its declaration is.
    assert desk.open_rejects() == ["prices.csv, line 14", "prices.csv, line 15"]
    assert desk.count_rejects() == 3


def test_a_wrong_declaration_leaves_neither_drift_nor_rejects_once_it_is_corrected(desk: Desk):
    def declare(*names: str) -> str:
        header = ", ".join(f'"{name}"' for name in names)
        of_file = 'currency = "USD"\nclose_after = "1d"\n[values]\nsymbol = "X"\nname = "Y"\n'
        return f"header = [{header}]\n{of_file}"

    rows = [f"2024-05-{day:02},{day}.5,1.{day},{'1' if day == 1 else 'n.n.'}" for day in DAYS]
    desk.write(*rows, declared=declare("date", "opne", "high", "close"))
    assert desk.load().ending.reason == "too_many_rejects"
    desk.write(*rows, declared=declare("date", "open", "close", "volume_24h"))

    (desk.folder / "sub").mkdir()
    assert desk.load("sub/../prices.csv").succeeded

    assert desk.open_rejects() == []
    assert desk.drifted() == []


def test_the_same_declaration_resolves_nothing_and_another_file_of_the_name_neither(desk: Desk):
    bad = "2024-07-01,BTC,Bitcoin,bad,7,calm"
    desk.write(HEADER, *days(), bad, file="a/prices.csv")
    desk.write(HEADER, *days(), file="b/prices.csv", declared='namespace = "b"')
    desk.load("a/prices.csv")

    desk.load("b/prices.csv")
    desk.write(HEADER, *days(), file="a/prices.csv")
    desk.load("a/prices.csv")

    assert desk.open_rejects() == ["prices.csv, line 14"]


def test_a_reject_of_version_0_1_0_whose_file_is_not_known_stays_open(desk: Desk):
    desk.write(HEADER, *days(), *refused_rows())
    desk.load()
    with desk.engine.begin() as conn:
        conn.execute(update(rejects).values(file=None, declaration=None))

    desk.write(HEADER, *days(), *refused_rows(), declared='unknown = ["n.n."]')
    desk.load()

    assert len(desk.open_rejects()) == 12


def test_a_file_that_is_refused_before_its_end_resolves_nothing(desk: Desk):
    desk.write(HEADER, *days(), *refused_rows())
    desk.load()

    desk.write(HEADER.replace("date", "tag"), *days(), declared='unknown = ["n.n."]')

    assert desk.load().ending.reason == "undeclared"
    assert len(desk.open_rejects()) == 12


def test_a_retry_does_not_load_a_row_that_does_not_fit_its_file(desk: Desk):
    rows = [f"2024-05-{day:02},BTC,{day}" for day in range(1, 26)]
    declared = '[values]\nname = "Bitcoin"\n'
    desk.write("date,symbol,price_usd", *rows, "2024-05-01,ETH,3", declared=declared)
    desk.load()

    source = CsvFiles(path="unused", rows_per_page=5)
    result = retry.retry(desk.engine, source, OpenRejects(), Options(5))

    assert (result.counts.fetched, result.counts.rejected) == (1, 1)
    assert desk.values(listings.c.external_id) == ["btc-bitcoin"]


def test_rows_that_differ_at_one_instant_are_reported_however_far_apart(desk: Desk):
    desk.write(HEADER, *days(), "2024-05-01,BTC,Bitcoin,99,7,calm", *days())

    result = desk.load()

    assert (result.ending.outcome, result.ending.reason) == ("partial", "differing_rows")
    assert "such as 'btc-bitcoin' at 2024-05-01 00:00:00Z; all of them are stored" in str(
        result.ending.error
    )
    assert verify(desk.engine).findings == ()


@pytest.mark.parametrize("batch_size", [5, 100])
def test_an_import_of_the_same_file_again_names_the_same_rows_and_stores_nothing(
    desk: Desk, batch_size: int
):
    desk.write(HEADER, *days(), "2024-05-01,BTC,Bitcoin,99,7,calm")
    first = desk.load(batch_size=batch_size)
    before = verify(desk.engine).fingerprint

    for _ in range(2):
        again = desk.load(batch_size=batch_size)
        assert again.counts.unchanged == 13
        assert again.ending == first.ending
    assert first.ending.reason == "differing_rows"
    assert verify(desk.engine).fingerprint == before


def test_an_import_after_the_correction_and_one_of_the_earlier_file_are_no_contradictions(
    desk: Desk,
):
    desk.write(HEADER, *days(), "2024-05-01,BTC,Bitcoin,99,7,calm")
    desk.load()

    for price in ("{}.5", "{}.7", "{}.5"):
        desk.write(HEADER, *days(price=price))
        assert desk.load().succeeded


def test_rows_that_differ_are_named_by_an_import_of_a_part_of_what_a_run_read(desk: Desk):
    desk.write(HEADER, *days())
    desk.write(HEADER, *days("{}.7"), "2024-05-01,BTC,Bitcoin,99,7,calm", file="other.csv")
    desk.run()

    assert desk.load().succeeded
    result = desk.load("other.csv")

    assert result.ending.reason == "differing_rows"
    assert str(result.ending.error).startswith("csv: 2 records differ from another record of this")


def test_too_many_rejects_do_not_hide_rows_that_differ(desk: Desk):
    desk.write(HEADER, *days(), "2024-05-01,BTC,Bitcoin,99,7,calm", *refused_rows())

    for _ in range(2):
        result = desk.load()
        assert result.ending.reason == "too_many_rejects"
        assert "Also, 2 records differ from another record of this run" in str(result.ending.error)
        assert "such as 'btc-bitcoin' at 2024-05-01 00:00:00Z" in str(result.ending.error)


def test_a_row_that_is_corrected_by_a_later_run_is_no_contradiction(desk: Desk):
    desk.write(HEADER, *days())
    desk.load()
    desk.write(HEADER, *days(price="{}.6"))

    assert desk.load().succeeded
    assert len(desk.values(observations.c.price_usd)) == 24


def test_makers_with_other_columns_are_no_drift_and_a_maker_that_changes_is(desk: Desk):
    other = [f"2024-05-{day:02},ETH,Ether,{day}.5" for day in DAYS]
    desk.write(HEADER, *days(), file="one-2024.csv")
    desk.write(
        "tag,symbol,coin,close_usd",
        *other,
        file="other.csv",
        declared=('[columns]\nobserved_at = "tag"\nname = "coin"\n'),
    )
    for _ in range(2):
        for file in ("one-2024.csv", "other.csv"):
            desk.load(file)
    assert desk.drifted() == []

    desk.write(HEADER.replace("mood", "temper"), *days(price="{}.7"), file="one-2025.csv")
    desk.load("one-2025.csv")

    family = f"{desk.folder.name}/one-#.csv".replace(
        desk.folder.name, "".join("#" if c.isdigit() else c for c in desk.folder.name)
    )
    assert [kind for path, kind in desk.drifted() if path.endswith("temper")] == ["appeared"]
    assert [kind for path, kind in desk.drifted() if path.endswith("mood")][-1] == "vanished"
    assert all(path.startswith(f"{family}: ") for path, _ in desk.drifted())
