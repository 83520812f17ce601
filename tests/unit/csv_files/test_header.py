"""Missing, lower and duplicate headers, and other line ends."""

import pytest

from tests.fakes.csv_files import SavedFile

CANDLES = "1538092800,0.3,0.302,0.08215,0.084\n1538179200,0.083999,0.094,0.080924,0.084969\n"
ROW = "2021-05-14,BTC,Bitcoin,49997.39"
HEADER = "Date,Symbol,Name,price_usd"


def test_a_file_without_a_header_is_recognised_and_loses_no_row(tmp_path):
    file = SavedFile(tmp_path, CANDLES)

    assert "the file has no header" in str(file.refusal())
    assert file.asked() == {
        "header": ["", "", "", "", ""],
    }

    file.declare('header = ["time", "open", "high", "low", "close"]\n')
    assert file.asked() == {
        "header": ["time", "open", "high", "low", "close"],
        "close_after": "",
        "currency": "",
        "values": {"symbol": "", "name": ""},
    }

    file.declare(
        'currency = "USD"\nclose_after = "1d"\nheader = ["time", "open", "high", "low", "close"]\n'
        '[values]\nsymbol = "ADA"\nname = "Cardano"\n'
    )
    assert file.prices() == ["0.084", "0.084969"]
    assert file.records()[0].position == "prices.csv, line 1"


def test_a_first_row_of_names_and_values_is_not_a_header(tmp_path):
    content = "bitcoin,BTC,Bitcoin,41800.5,2024-01-14\nethereum,ETH,Ethereum,2470.5,2024-01-14\n"
    file = SavedFile(tmp_path, content)

    assert "the file has no header" in str(file.refusal())

    file.declare('header = ["id", "symbol", "name", "price_usd", "date"]')
    assert file.prices() == ["41800.5", "2470.5"]


@pytest.mark.parametrize("row", ["2024-01-01;42000,5;1,2", "42000,5;1,2", "BTC;42,5;1,25;0,5"])
def test_the_delimiter_of_a_file_without_a_header_is_told_from_its_values(tmp_path, row):
    asked = SavedFile(tmp_path, f"{row}\n{row}\n").asked()

    assert "delimiter" not in asked
    assert len(asked["header"]) == row.count(";") + 1


def test_names_above_values_are_a_header_though_none_is_known(tmp_path):
    file = SavedFile(tmp_path, "Tag;Kurs;1 Stunde\n2021-05-14;1.5;7\n2021-05-15;1.6;8\n")

    assert "header" not in file.asked()


def test_naming_the_first_candle_as_the_header_does_not_make_it_one(tmp_path):
    declared = '[columns]\nprice_usd = "0.084"\nobserved_at = "1538092800"\n'
    file = SavedFile(tmp_path, CANDLES, declared + '[values]\nsymbol = "ADA"\nname = "Cardano"\n')

    assert "the file has no header" in str(file.refusal())


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ('["time", "close"]', "header has 2 names, but line 1 has 4 cells"),
        ('["a", "b", "c", "d"]', "header is declared, but line 1 is a header already"),
        ('["a", "a", "c", "d"]', "header: has the name 'a' more than once"),
    ],
)
def test_a_declared_header_must_fit_the_file(tmp_path, names, reason):
    file = SavedFile(tmp_path, f"{HEADER}\n{ROW}\n", f"header = {names}\n")

    assert file.refusal().code == "declaration"
    assert reason in str(file.refusal())


@pytest.mark.parametrize(
    "above",
    [
        ["https://www.example.org"],
        ["Created on 12-02-2019,https://www.example.org"],
        ["Export", "", "Source: an exchange; times are UTC"],
    ],
)
def test_lines_above_the_header_are_counted_and_skipped_as_declared(tmp_path, above):
    file = SavedFile(tmp_path, "\r\n".join([*above, HEADER, ROW, ""]))

    assert file.asked() == {"skip_lines": len(above)}
    assert f"line {len(above) + 1} looks like the header" in str(file.refusal())

    file.declare(f"skip_lines = {len(above)}")
    assert file.prices() == ["49997.39"]
    assert file.records()[0].position == f"prices.csv, line {len(above) + 2}"


def test_lines_above_a_header_of_unknown_names_are_told_by_their_width(tmp_path):
    rows = ["Kurse von heute", "Tag;Kurs;Umsatz", "2021-05-14;1.5;7", "2021-05-15;1.6;8"]
    file = SavedFile(tmp_path, "\n".join(rows))

    assert file.asked()["skip_lines"] == 1


def test_skipped_lines_and_a_declared_header_replace_a_header_of_several_lines(tmp_path):
    content = "Price,Close\nTicker,BTC-USD\nDate,\n2024-12-30,92643.21\n"
    file = SavedFile(
        tmp_path,
        content,
        'currency = "USD"\nskip_lines = 3\nheader = ["Date", "Close"]\n'
        '[values]\nsymbol = "BTC"\nname = "Bitcoin"\n',
    )

    assert file.prices() == ["92643.21"]


def test_unnamed_columns_are_no_duplicates(tmp_path):
    file = SavedFile(tmp_path, f"{HEADER},,\n{ROW},,\n")

    assert file.prices() == ["49997.39"]
    assert list(file.records()[0].document["row"]) == [*HEADER.split(","), "", "(2)"]
    assert file.reading().left_out == ["", "(2)"]


def test_a_duplicate_name_is_resolved_by_a_declaration(tmp_path):
    file = SavedFile(tmp_path, f"{HEADER},price_usd\n{ROW},3\n")
    assert file.asked() == {"columns": {"price_usd": ""}}
    why = "several columns are called 'price_usd', the second is 'price_usd (2)'; or ignore ="
    assert why in str(file.refusal())

    file.declare('[columns]\nprice_usd = "price_usd"\n')
    assert file.prices() == ["49997.39"]
    file.declare('[columns]\nprice_usd = "price_usd (2)"\n')
    assert file.prices() == ["3"]


def test_a_duplicate_name_is_asked_about_with_all_other_questions(tmp_path):
    file = SavedFile(tmp_path, "Date,Price,Price,Vol.\n2021-05-14,1.5,3,9\n")

    assert file.asked() == {
        "currency": "",
        "columns": {"price_usd": ""},
        "values": {"symbol": "", "name": ""},
    }


def test_a_duplicate_name_replaced_by_a_constant_is_suggested_to_be_ignored(tmp_path):
    content = "Date,Name,Name,ID,price_usd\n2021-05-14,Bitcoin,BTC,x,1.5\n"
    declared = 'ignore = ["ID"]\n[values]\nname = "Bitcoin"\nsymbol = "BTC"\n'

    assert SavedFile(tmp_path, content, declared).asked()["ignore"] == ["ID", "Name"]


def test_an_ignored_duplicate_name_is_not_asked_about(tmp_path):
    file = SavedFile(tmp_path, f"{HEADER},price,price\n{ROW},1,2\n", 'ignore = ["price"]\n')

    assert file.prices() == ["49997.39"]


def test_spaces_around_a_header_do_not_count_in_a_declaration(tmp_path):
    file = SavedFile(
        tmp_path,
        "Date, Symbol,Name, kurs \n2021-05-14,BTC,Bitcoin,1.5\n",
        'currency = "USD"\n[columns]\nprice_usd = "kurs"\n',
    )

    assert file.prices() == ["1.5"]


@pytest.mark.parametrize("end", ["\r", "\r\r\n"])
def test_lines_that_end_in_carriage_returns_are_read(tmp_path, end):
    later = "2021-05-15,BTC,Bitcoin,47047.96"
    file = SavedFile(tmp_path, end.join([HEADER, ROW, later, ""]))

    assert file.prices() == ["49997.39", "47047.96"]


def test_a_carriage_return_within_a_line_is_named(tmp_path):
    file = SavedFile(tmp_path, f"{HEADER}\n2021-05-14,BTC,Bit\rcoin,1\n{ROW}\n")

    refused, passed = file.reasons()

    assert refused == ["not CSV: a carriage return (CR) within the line, outside quotes"]
    assert passed == []


def test_windows_1252_is_suggested_where_the_header_has_its_signs(tmp_path):
    file = SavedFile(tmp_path, "Kurs (€),price_usd,symbol,name,date\n".encode("windows-1252"))

    assert file.asked() == {"encoding": "windows-1252"}


SHORT = "2010-07-1{},BTC,Bitcoin,0.0{}\n"
WIDE = f"{HEADER},mood\n"


def test_rows_without_their_last_empty_cells_are_padded_if_the_file_shows_it(tmp_path):
    rows = [SHORT.format(day, day) for day in (6, 7)]
    file = SavedFile(tmp_path, WIDE + "".join(rows) + f"{ROW},calm\n")

    assert file.prices() == ["0.06", "0.07", "49997.39"]
    assert file.records()[0].document["row"]["mood"] == ""


@pytest.mark.parametrize(
    "content",
    [
        WIDE + SHORT.format(6, 6) + f"{ROW},calm\n",
        WIDE + SHORT.format(6, 6) + SHORT.format(7, 7) + f"{ROW},\n",
        WIDE + "2010-07-16,BTC,Bitcoin,\n" + SHORT.format(7, 7) + f"{ROW},calm\n",
        WIDE + f"{ROW},calm\n" + SHORT.format(6, 6) + SHORT.format(7, 7).strip(),
    ],
    ids=["once", "the maker writes empty cells", "an empty last cell", "half a last line"],
)
def test_other_short_rows_are_refused(tmp_path, content):
    reasons = SavedFile(tmp_path, content).reasons()

    assert ["4 cells under 5 headers"] in reasons


def test_short_rows_are_padded_as_declared_but_not_where_a_needed_cell_is_missing(tmp_path):
    file = SavedFile(
        tmp_path, WIDE + SHORT.format(6, 6) + "2010-07-17,BTC,Bitcoin\n", "pad_short_rows = true"
    )

    assert file.reasons() == [[], ["3 cells under 5 headers"]]


def test_a_header_of_several_lines_is_asked_about_as_one(tmp_path):
    content = (
        "Price,Close,High,Volume\nTicker,BTC-USD,BTC-USD,BTC-USD\nDate,,,\n"
        "2024-12-30,92643.2,94903.3,56188003691\n2024-12-31,93429.2,96090.6,43625106843\n"
    )
    file = SavedFile(tmp_path, content)

    answer = file.asked()

    assert (answer["skip_lines"], answer["header"]) == (3, ["Date", "Close", "High", "Volume"])
    assert "the header has several lines (1 to 3)" in str(file.refusal())
    file.declare(
        'skip_lines = 3\nheader = ["Date", "Close", "High", "Volume"]\ncurrency = "USD"\n'
        'ignore = ["Volume"]\n[values]\nsymbol = "BTC"\nname = "Bitcoin"\n'
    )
    assert file.prices() == ["92643.2", "93429.2"]


def test_columns_of_several_tickers_with_one_name_are_distinguished(tmp_path):
    content = "Price,Close,Close\nTicker,BTC-USD,ETH-USD\n2024-12-30,92643.2,3356.4\n"

    assert SavedFile(tmp_path, content).asked()["header"] == [
        "Price",
        "Close BTC-USD",
        "Close ETH-USD",
    ]


@pytest.mark.parametrize("row", ["2024-12-30,-,-", "null,null,null", "2024-12-30,,"])
def test_a_first_row_without_a_number_is_not_a_header(tmp_path, row):
    content = f"Date,Close,High\n{row}\n2024-12-31,93429.2,96090.6\n"
    file = SavedFile(
        tmp_path, content, 'currency = "USD"\n[values]\nsymbol = "BTC"\nname = "Bitcoin"\n'
    )

    assert [each.position for each in file.records()] == ["prices.csv, line 3"]
