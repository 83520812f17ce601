"""What a run says of the CSV files that it read."""

import pytest
import structlog

from shared.schema.market import listings, observations
from tests.fakes.csv_operator import HEADER, Desk, days
from worker.ingest import pipeline
from worker.ingest.runs.options import Options, Result
from worker.maintenance.verify import verify
from worker.sources.csv import CsvFiles


def test_an_import_says_which_columns_are_read_and_which_left_out(desk: Desk):
    desk.write(HEADER, *days(cap="Low Vol"), "2024-06-01,BTC,Bitcoin,,,calm")

    result = desk.load()

    assert result.succeeded
    assert result.counts.fetched == 12
    assert result.notes == [
        (
            "prices.csv: columns read: symbol = 'symbol', name = 'name', observed_at = 'date', "
            "price_usd = 'price_usd', market_cap_usd = 'market_cap_usd'"
        ),
        "prices.csv: columns left out: 'mood'",
        (
            "prices.csv: dates without a time under 'date' count as 00:00:00 UTC; declare "
            "time_of_day to change it"
        ),
        ("prices.csv: 1 row without any value left out; the first is prices.csv, line 14"),
        (
            "market_cap_usd: 12 values are not readable and null, first prices.csv, line 2: not a "
            "number: 'Low Vol'"
        ),
    ]
    assert desk.values(observations.c.price_usd)[:2] == ["1.5", "2.5"]
    assert verify(desk.engine).findings == ()


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([], "prices.csv has no rows"),
        (
            ["2024-06-01,BTC,Bitcoin,,-,calm"],
            "no row has a value under 'price_usd', 'market_cap_usd'",
        ),
    ],
)
def test_an_import_of_an_empty_file_fails(desk: Desk, rows: list[str], why: str):
    desk.write(HEADER, *rows)

    result = desk.load()

    assert (result.ending.outcome, result.ending.reason) == ("failed", "empty_answer")
    assert why.removeprefix("prices.csv ") in str(result.ending.error)


def test_a_run_fails_for_an_empty_file_once_that_does_not_change(desk: Desk):
    desk.write(HEADER, file="prices/a.csv")
    desk.write(HEADER, *days(), file="prices/b.csv")
    source = CsvFiles(path=str(desk.folder / "prices"), rows_per_page=5)

    def run() -> Result:
        return pipeline.run(desk.engine, source, None, Options(5))

    assert run().succeeded
    for _ in range(2):
        result = run()
        assert (result.ending.outcome, result.ending.reason) == ("failed", "empty_answer")
        assert "a.csv: has no row" in str(result.ending.error)
    desk.write(HEADER, *days(), file="prices/a.csv")
    assert run().succeeded
    assert run().succeeded


@pytest.mark.parametrize("files", [("a.csv",), ("a.csv", "b.csv")])
def test_the_log_has_why_a_file_is_refused_without_what_to_write(desk: Desk, files: tuple):
    for file in files:
        desk.write("date,symbol,name,close", "2024-05-01,BTC,Bitcoin,1", file=f"prices/{file}")
    source = CsvFiles(path=str(desk.folder / "prices"), rows_per_page=5)

    with structlog.testing.capture_logs() as logged:
        result = pipeline.run(desk.engine, source, None, Options(5))

    error = str(result.ending.error)
    assert error.count('currency = ""') == len(files)
    (line,) = (each for each in logged if each["event"] == "run finished")
    assert line["reason"] == "undeclared"
    assert "\n" not in line["error"]
    for file in files:
        said = f"{file}: the file requires a declaration of: currency"
        assert f"{said}. Write these lines" in error
        assert f"{said}; `worker status` shows the lines to write" in line["error"]


def test_files_of_one_name_are_told_apart_by_their_folders(desk: Desk):
    (desk.folder / "x").mkdir()
    names = ("x/m1/a.csv", "m1/a.csv", "m2/a.csv", "m2/b.csv")
    for day, name in enumerate(names):
        desk.write(HEADER, f"2024-05-0{day + 1},BTC,Bitcoin,1,7,calm", file=name)

    notes = desk.load(*names).notes

    read = [note.partition(": columns read")[0] for note in notes if "columns read" in note]
    whole = f"{desk.folder.name}/m1/a.csv"
    assert read == ["x/m1/a.csv", whole, "m2/a.csv", "b.csv"]


@pytest.mark.parametrize("end", ["", "\n"])
def test_an_import_says_that_the_last_line_has_no_end(desk: Desk, end: str):
    path = desk.folder / "prices.csv"
    path.write_text("\n".join([HEADER, *days()]) + end)

    result = desk.load()

    assert result.counts.new == 12
    told = "prices.csv: the last line has no line end and was read as a complete row; if it was"
    assert any(note.startswith(told) for note in result.notes) == (not end)


def test_prices_that_are_all_0_are_reported(desk: Desk):
    desk.write(HEADER, *days(price="0"))

    assert (
        "prices.csv: every price is 0 (12); if 0 means unknown, declare "
        'zero_is_unknown = ["price_usd"]'
    ) in desk.load().notes


def test_too_many_rejects_are_explained_by_the_most_common_reason(desk: Desk):
    desk.write(HEADER, "soon,BTC,Bitcoin,1,7,calm", *days(price="n.n. {}"), *days())

    result = desk.load()

    assert result.ending.reason == "too_many_rejects"
    assert (
        "13 of 25 records were rejected, more than 10%; 12 of them as in prices.csv, line 3: "
        "price_usd: not a number: 'n.n. 1'"
    ) in str(result.ending.error)


def test_an_import_says_how_many_known_ids_it_renamed(desk: Desk):
    def ranked(day: int, *coins: str) -> list[str]:
        return [f"{100 + at},{coin},{day},2024-05-{day:02}" for at, coin in enumerate(coins)]

    declared = '[columns]\nid = "rank"\n'
    header = "rank,symbol,name,price_usd,date"
    desk.write(header, *ranked(1, "AAA,Able", "BBB,Baker", "CCC,Charlie"), declared=declared)
    assert not any("known ids" in note for note in desk.load().notes)
    desk.write(header, *ranked(2, "BBB,Baker", "AAA,Able", "CCC,Charlie"), declared=declared)

    assert desk.load().notes[-1] == (
        "2 known ids have another symbol or name now, such as '100': Able (AAA) became Baker "
        "(BBB); if they are ranks or row numbers, their column names no coin"
    )


def test_an_import_says_which_values_it_changed(desk: Desk):
    header = "date,symbol,name,price_usd"
    for folder, price in (("m1", "46000"), ("m2", "99000")):
        desk.write(header, f"2024-01-04,BTC,Bitcoin,{price}", file=f"{folder}/a.csv")

    loads = [desk.load(f"{folder}/a.csv") for folder in ("m1", "m2", "m1", "m1")]

    counts = [load.counts for load in loads]
    assert [(each.new, each.unchanged, each.revised) for each in counts] == [
        (1, 0, 0),
        (1, 0, 1),
        (0, 1, 1),
        (0, 1, 0),
    ]
    said = [[note for note in load.notes if "supersede" in note] for load in loads]
    assert said[0] == said[3] == []
    assert [note for notes in said for note in notes] == [
        (
            "1 record supersedes another of the same listing and instant, such as 'btc-bitcoin' at "
            f"2024-01-04 00:00:00Z: price_usd {was} became {now}; superseded records stay in the "
            "history"
        )
        for was, now in ((46000, 99000), (99000, 46000))
    ]


def test_a_revision_without_a_changed_price_is_reported_without_prices(desk: Desk):
    desk.write(HEADER, *days(), file="m1/a.csv")
    desk.write(HEADER, *days(cap="8"), file="m2/a.csv")
    desk.load("m1/a.csv")

    assert desk.load("m2/a.csv").notes[-1] == (
        "12 records supersede another of the same listing and instant, such as 'btc-bitcoin' at "
        "2024-05-01 00:00:00Z; superseded records stay in the history"
    )


def test_what_the_cells_of_a_file_prove_is_reported(desk: Desk):
    desk.write("date;symbol;name;price_usd", *["2024-05-01;BTC;Bitcoin;1.234,5"])

    result = desk.load()

    assert desk.values(listings.c.price_usd) == ["1234.5"]
    proof = "the decimal mark is a comma, because 'price_usd' has '1.234,5'"
    assert f"prices.csv: {proof}" in result.notes
