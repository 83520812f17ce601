"""A decimal comma in a file is proven by its own cells, declared, or asked for; never guessed."""

import pytest
from marshmallow import ValidationError

from tests.fakes.csv_files import SavedFile
from worker.sources.csv.cells.numbers import NumberCell, parse_number
from worker.sources.csv.questions.decimal_mark import mark_of

HEADER = "date,symbol,name,price_usd,volume,change"
DECLARED = 'ignore = ["volume"]\n'


def exported(*rows: str) -> str:
    return "\n".join([HEADER, *rows]) + "\n"


@pytest.mark.parametrize(
    ("cell", "mark"),
    [
        *((cell, "comma") for cell in ("0,742", "0,000012", "12,5", "1234,567", "46,88K")),
        *((cell, "comma") for cell in ("-0,34%", "1.234,5", "1.234.567", "2,84909E+11", "1 234,5")),
        *((cell, "point") for cell in ("0.742", "8746.6", "1234.567", "1,234.5", "1,234,567")),
        *((cell, "point") for cell in ("$0.001680", "-1.71%", "2.84909E+11", "1.38M", ".5")),
        *((cell, None) for cell in ("1,234", "1.234", "172,458", "742", "", "24.05.2026", "a,b")),
    ],
)
def test_a_cell_proves_a_decimal_mark_only_where_it_can_be_read_in_one_way(cell, mark):
    assert mark_of(cell) == mark


def test_another_column_proves_that_three_decimals_are_no_thousands(tmp_path):
    file = SavedFile(
        tmp_path,
        exported('2025-05-12,SOL,Solana,"172,458","9,68M","-0,44%"'),
        DECLARED,
    )

    assert file.prices() == ["172.458"]
    assert "the decimal mark is a comma, because 'volume' has '9,68M'" in file.reading().settled


def test_a_group_after_a_leading_zero_proves_a_decimal_comma(tmp_path):
    rows = ['2025-05-12,XRP,XRP,"0,742",1,1', '2025-05-12,ADA,Cardano,"1,234",1,1']

    assert SavedFile(tmp_path, exported(*rows), DECLARED).prices() == ["0.742", "1.234"]


def test_thousands_are_read_where_a_cell_proves_the_point(tmp_path):
    rows = ['2025-05-12,BTC,Bitcoin,"10,123",1,0.5%', "2025-05-13,BTC,Bitcoin,998.5,1,0.1%"]

    assert SavedFile(tmp_path, exported(*rows), DECLARED).prices() == ["10123", "998.5"]


def test_what_no_cell_proves_is_asked_for(tmp_path):
    file = SavedFile(tmp_path, exported('2025-05-12,SOL,Solana,"172,458",1,1'), DECLARED)

    assert file.asked()["decimal"] == ""
    assert "'172,458' under 'price_usd' can be read with either" in str(file.refusal())

    file.declare(DECLARED + 'decimal = "comma"')
    assert file.prices() == ["172.458"]
    file.declare(DECLARED + 'decimal = "point"')
    assert file.prices() == ["172458"]


def test_cells_that_prove_both_marks_prove_none(tmp_path):
    file = SavedFile(tmp_path, exported('2025-05-12,SOL,Solana,"172,458","9,68M",0.44%'), DECLARED)

    assert file.asked()["decimal"] == ""
    assert "a comma in '9,68M' under 'volume' and a point in '0.44%' under 'change'" in str(
        file.refusal()
    )


@pytest.mark.parametrize(
    ("header", "cell"),
    [
        *(("Uhrzeit", cell) for cell in ("12.30", "0.30", "12,30")),
        *(("Tag", cell) for cell in ("01.05", "1.5", "24,12")),
        *(("rank", cell) for cell in ("1.0", "1,0")),
        *(("version", cell) for cell in ("1.2", "0.742", "1.23456", "2024.05")),
        ("minutes", "12.5m"),
    ],
)
def test_what_may_be_no_amount_proves_nothing_in_a_column_that_is_no_value(tmp_path, header, cell):
    content = f"date;{header};symbol;name;price_usd\n2024-05-01;{cell};BTC;Bitcoin;42.000\n"

    assert SavedFile(tmp_path, content).asked() == {"decimal": ""}


@pytest.mark.parametrize(
    ("cell", "price"),
    [
        *((cell, "42.000") for cell in ("1.25%", "$12.30", "9.68M", "1,234.5", "1,234,567")),
        *((cell, "42.000") for cell in ("2.84909E+11", "12 345.67", "9.68K*")),
        *((cell, "42000") for cell in ("-0,34%", "9,68M", "1.234,5", "1.234.567", "2,84909E+11")),
    ],
)
def test_a_clear_amount_proves_the_mark_in_whatever_column(tmp_path, cell, price):
    content = f"date;other;symbol;name;price_usd\n2024-05-01;{cell};BTC;Bitcoin;42.000\n"

    assert SavedFile(tmp_path, content).prices() == [price]


def test_a_value_proves_the_mark_whatever_a_time_looks_like(tmp_path):
    rows = ["2024-05-01;12.30;BTC;Bitcoin;42.000", "2024-05-02;12.30;BTC;Bitcoin;42.000,5"]
    content = "\n".join(["date;Uhrzeit;symbol;name;price_usd", *rows]) + "\n"

    assert SavedFile(tmp_path, content).prices() == ["42000", "42000.5"]


def test_a_comma_that_comes_after_the_first_rows_refuses_its_row_alone(tmp_path):
    rows = [f"2025-05-{day:02},BTC,Bitcoin,{day},1,1" for day in range(1, 29)]
    file = SavedFile(tmp_path, exported(*rows, '2025-06-01,BTC,Bitcoin,"1,234",1,1'), DECLARED)

    *others, last = file.reasons()

    assert not any(others)
    assert last == ["price_usd: the comma in '1,234' may be a decimal mark or not; declare decimal"]


def test_a_proven_comma_is_stored_with_the_rows_that_have_a_mark(tmp_path):
    rows = ['2025-05-12,BTC,Bitcoin,"12,5",1,1', "2025-05-13,BTC,Bitcoin,13,1,1"]

    first, second = SavedFile(tmp_path, exported(*rows), DECLARED).records()

    assert first.document["declared"]["decimal"] == "comma"
    assert "decimal" not in second.document["declared"]


@pytest.mark.parametrize("text", ["0,742", "0,123.5", "00,123"])
def test_a_group_after_a_leading_zero_is_no_number_with_a_decimal_point(text):
    with pytest.raises(ValueError, match=text):
        parse_number(text)


@pytest.mark.parametrize(
    ("comma", "text", "mark"), [(False, "76.761,5", "comma"), (True, "76,761.5", "point")]
)
def test_a_reason_names_the_declaration_with_which_the_cell_is_a_number(comma, text, mark):
    with pytest.raises(
        ValidationError, match=f'the {mark} is the decimal mark, declare decimal = "{mark}"'
    ):
        NumberCell(comma=comma).deserialize(text)
