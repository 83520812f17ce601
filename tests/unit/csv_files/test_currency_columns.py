"""Columns of currencies under unknown headers."""

import pytest

from tests.fakes.csv_files import SavedFile

NAMES = ["quote", "unit", "base", "Währung", "cur", "curr.", "X", "note"]


def table(header: str, *cells: str, price: str = "price") -> str:
    rows = [f"2024-02-{day:02},BTC,Bitcoin,{day},{cell}" for day, cell in enumerate(cells, 1)]
    return "\n".join([f"date,symbol,name,{price},{header}", *rows]) + "\n"


@pytest.mark.parametrize("header", NAMES)
@pytest.mark.parametrize("price", ["price", "price_usd"])
@pytest.mark.parametrize("declared", ["", 'currency = "USD"\n'])
@pytest.mark.parametrize("other", ["EUR", "€", "gbp", "euro", "CA$", "RON"])
def test_a_column_of_currencies_is_asked_about_whatever_hides_it(
    tmp_path, header, price, declared, other
):
    file = SavedFile(tmp_path, table(header, "USD", other, "US Dollar", price=price), declared)

    assert file.asked()["columns"] == {"currency": header}

    file.declare(f'{declared}[columns]\ncurrency = "{header}"\n')
    assert [bool(each) for each in file.reasons()] == [False, True, False]


def test_a_column_of_dollars_is_suggested_instead_of_a_constant(tmp_path):
    assert SavedFile(tmp_path, table("quote", "USD", "usd")).asked() == {
        "columns": {"currency": "quote"}
    }


@pytest.mark.parametrize("price", ["price", "price_usd"])
@pytest.mark.parametrize("first", ["USD", ""])
def test_later_rows_in_another_currency_are_refused_one_by_one(tmp_path, price, first):
    content = table("quote", *[first] * 22, "EUR", "USD", "", price=price)

    reasons = SavedFile(tmp_path, content, 'currency = "USD"\n').reasons()

    assert [bool(each) for each in reasons] == [False] * 22 + [True, False, False]
    assert "quote: 'EUR' is another currency, and only US dollars are read" in reasons[22][0]
    assert 'ignore = ["quote"] if the column is not' in reasons[22][0]


def test_a_declaration_in_a_reason_keeps_the_columns_that_are_ignored_already(tmp_path):
    content = table("volume,quote", *["9,USD"] * 22, "9,EUR")
    declared = 'currency = "USD"\nignore = ["volume"]\n'

    reasons = SavedFile(tmp_path, content, declared).reasons()

    assert 'ignore = ["volume", "quote"] if the column is not' in reasons[-1][0]


def test_a_column_of_currencies_that_is_ignored_is_of_no_concern(tmp_path):
    declared = 'currency = "USD"\nignore = ["fee_ccy"]\n'

    assert SavedFile(tmp_path, table("fee_ccy", "EUR", "EUR"), declared).prices() == ["1", "2"]


def test_a_column_of_stablecoins_is_asked_about_with_them(tmp_path):
    asked = SavedFile(tmp_path, table("quote", "USDT", "USDT")).asked()

    assert asked["columns"] == {"currency": "quote"}
    assert "as_usd" in asked


@pytest.mark.parametrize(
    ("header", "cells"),
    [("chain", ("USDT", "USDC")), ("note", ("", "seen", "checked")), ("side", ("buy", "sell"))],
)
def test_other_columns_are_no_currencies(tmp_path, header, cells):
    file = SavedFile(tmp_path, table(header, *cells, price="price_usd"))

    assert len(file.prices()) == len(cells)


def test_a_column_of_currencies_does_not_name_the_coin(tmp_path):
    content = "date,quote,price_usd\n2024-01-01,USD,1.5\n2024-01-02,US Dollar,2.5\n"
    declared = '[values]\nsymbol = "BTC"\nname = "Bitcoin"\n'

    assert SavedFile(tmp_path, content, declared).prices() == ["1.5", "2.5"]
