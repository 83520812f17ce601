"""Constants that replace columns of coins under unknown headers."""

import pytest

from tests.fakes.csv_files import SavedFile

CONSTANT = '[values]\nsymbol = "BTC"\nname = "Bitcoin"\n'


def table(header: str, *cells: str) -> str:
    rows = [f"2024-02-{day:02},{cell},{day}.5" for day, cell in enumerate(cells, start=1)]
    return "\n".join([f"date,{header},price_usd", *rows]) + "\n"


@pytest.mark.parametrize("header", ["asset", "coin", "ticker_name", "currency_pair", "Crypto", "X"])
def test_a_constant_over_an_unknown_column_that_names_coins_is_refused(tmp_path, header):
    error = SavedFile(tmp_path, table(header, "BTC", "ETH", "BTC"), CONSTANT).refusal()

    assert error.code == "declaration"
    assert str(error).endswith(
        f"the column {header!r} has 'BTC' and 'ETH'; remove symbol, name from [values] and write "
        f'[columns] symbol = "{header}"; or write ignore = ["{header}"] if it does not name the '
        "coin of a row"
    )


EXEMPT = ("label", "unit", "type", "description", "tag", "platform", "chain", "source", "category")


@pytest.mark.parametrize("header", [*EXEMPT, "kind", "note", "remark_of_desk"])
@pytest.mark.parametrize(
    "cells",
    [
        ("BTC", "ETH"),
        ("btc", "", "", "", "ETH"),
        ("Ethereum", "Bitcoin"),
        ("bitcoin-1", "ether-2"),
        ("BTC/EUR", "ETH/EUR"),
        ("ETH/USD", "XRP/USD"),
        ("ETHUSDT", "SOLUSDT"),
        ("seen", "BTC"),
    ],
)
def test_a_cell_that_names_a_coin_counts_whatever_the_header_is(tmp_path, header, cells):
    error = SavedFile(tmp_path, table(header, *cells), f'{CONSTANT}id = "Bitcoin-1"\n').refusal()

    assert error.code == "declaration"
    assert f"the column {header!r} has" in str(error)
    assert f'or write ignore = ["{header}"]' in str(error)


def test_rows_that_name_another_coin_under_a_header_of_texts_are_refused_one_by_one(tmp_path):
    cells = ["BTC"] * 21 + ["ETH", "BTC/EUR", ""]

    reasons = SavedFile(tmp_path, table("label", *cells), CONSTANT).reasons()

    assert [bool(each) for each in reasons] == [False] * 21 + [True, True, False]
    assert "label: 'ETH' contradicts [values] symbol" in reasons[21][0]
    assert "label: 'BTC/EUR' is priced in EUR" in reasons[22][0]


def test_an_unknown_column_that_is_ignored_is_of_no_concern(tmp_path):
    content = table("asset", "BTC", "ETH")

    assert SavedFile(tmp_path, content, f'ignore = ["asset"]\n{CONSTANT}').prices() == [
        "1.5",
        "2.5",
    ]


def test_rows_that_name_another_coin_after_the_first_rows_are_refused_one_by_one(tmp_path):
    file = SavedFile(tmp_path, table("coin", *["Bitcoin"] * 22, *["Ethereum"] * 3), CONSTANT)

    reasons = file.reasons()

    assert [bool(each) for each in reasons] == [False] * 22 + [True] * 3
    assert "coin: 'Ethereum' contradicts [values] symbol" in reasons[-1][0]
    assert 'or write ignore = ["coin"]' in reasons[-1][0]


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("exchange", ("Kraken", "Coinbase")),
        ("state_of_day", ("open", "closed")),
        ("opened", ("true", "false")),
        ("notes", ("seen", "checked")),
        ("remark_of_desk", ("checked by hand against the exchange", "as the desk has seen it")),
        ("checked", ("", "by hand", "")),
        ("when", ("8-Oct-15", "9-Oct-15")),
        ("weekday_name", ("Mon", "Tue")),
        ("amount", ("12 BTC", "13 BTC")),
        ("change", ("1.5%", "2%")),
        ("trades", ("12", "13")),
        ("rank", ("1", "2")),
        ("type", ("ENTRY", "EXIT")),
        ("mood", ("bulls", "bears")),
        ("chain", ("ETH", "SOL")),
    ],
)
def test_a_column_that_names_no_coin_is_left_alone(tmp_path, header, cells):
    declared = f'{CONSTANT}id = "1"\n'

    assert SavedFile(tmp_path, table(header, *cells), declared).prices()[0] == "1.5"


def test_where_a_known_column_names_the_coin_no_other_needs_to(tmp_path):
    content = "date,Symbol,desk,price_usd\n2024-02-01,BTC,North,1.5\n2024-02-02,BTC,South,2.5\n"

    assert SavedFile(tmp_path, content, '[values]\nname = "Bitcoin"\n').prices() == ["1.5", "2.5"]


def test_a_hidden_column_that_names_the_coin_of_each_row_will_do(tmp_path):
    content = "date,Symbol,desk,price_usd\n2024-02-01,BTC,North,1.5\n2024-02-02,BTC,South,2.5\n"

    assert SavedFile(tmp_path, content, CONSTANT).prices() == ["1.5", "2.5"]


def test_a_known_column_does_not_speak_for_the_rows_that_it_leaves_empty(tmp_path):
    content = "date,Symbol,asset,price_usd\n2024-02-01,BTC,BTC,1.5\n2024-02-02,,ETH,2.5\n"

    error = SavedFile(tmp_path, content, CONSTANT).refusal()

    assert "the column 'asset' has 'BTC' and 'ETH'" in str(error)


def test_a_known_column_that_is_ignored_speaks_for_no_row(tmp_path):
    content = "date,Symbol,asset,price_usd\n2024-02-01,$,BTC,1.5\n2024-02-02,$,ETH,2.5\n"

    error = SavedFile(tmp_path, content, f'ignore = ["Symbol"]\n{CONSTANT}').refusal()

    assert "the column 'asset' has 'BTC' and 'ETH'" in str(error)


def test_a_later_row_without_a_cell_in_the_known_column_is_told_by_the_others(tmp_path):
    rows = [f"2024-02-{day:02},BTC,BTC,{day}" for day in range(1, 21)]
    later = ["2024-02-21,,ETH,2.5", "2024-02-22,,BTC,2.5", "2024-02-23,BTC,by hand,2.5"]
    content = "\n".join(["date,Symbol,asset,price_usd", *rows, *later]) + "\n"

    *first, other, same, noted = SavedFile(tmp_path, content, CONSTANT).reasons()

    assert not any([*first, same, noted])
    assert "asset: 'ETH' contradicts [values] symbol" in other[0]


def test_pairs_of_the_constant_in_another_currency_are_refused(tmp_path):
    content = table("traded", "BTC/EUR", "BTC/EUR")

    error = SavedFile(tmp_path, content, CONSTANT).refusal()

    assert "'traded' has trading pairs such as BTC/EUR, and only US dollars are read" in str(error)
