"""Suggestions for the coin of a row: none of them makes an asset that does not exist."""

import pytest

from tests.fakes.csv_files import SavedFile


def table(header: str, *names: str) -> str:
    rows = [f"2024-05-01T0{at}:00:00Z,{name},1.5" for at, name in enumerate(names)]
    return "\n".join([f"time,{header},price_usd", *rows]) + "\n"


@pytest.mark.parametrize("pairs", [("BTCUSDT", "ETHUSDT"), ("BTCUSDT", "BTCUSDT")])
def test_a_column_of_pairs_is_suggested_as_symbol_and_not_as_name(tmp_path, pairs):
    file = SavedFile(tmp_path, table("Pair", *pairs))

    assert file.asked()["columns"]["symbol"] == "Pair"
    assert file.asked()["as_usd"] == []
    assert 'name = "Pair"' not in str(file.refusal())


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("Pair", ("BTC/USD", "ETH/USD")),
        ("symbol", ("BTC", "ETH")),
        ("symbol", ("BTCUSD", "ETHUSD")),
    ],
)
def test_no_constant_name_is_offered_for_several_coins(tmp_path, header, names):
    file = SavedFile(tmp_path, table(header, *names))

    assert file.asked()["columns"]["name"] == ""
    assert "values" not in file.asked()
    assert f"the file has several coins ({header!r} has {names[0]!r} and {names[1]!r})" in str(
        file.refusal()
    )


def test_no_constant_symbol_is_offered_for_several_names(tmp_path):
    asked = SavedFile(tmp_path, table("name", "Bitcoin", "Ethereum")).asked()

    assert asked == {"columns": {"symbol": ""}}


@pytest.mark.parametrize(
    ("names", "field", "other"),
    [
        (("BTC", "ETH"), "symbol", "name"),
        (("btc", "btc"), "symbol", "name"),
        (("bitcoin", "ethereum"), "name", "symbol"),
        (("Bitcoin Cash", "Bitcoin Cash"), "name", "symbol"),
    ],
)
def test_a_column_is_suggested_either_as_symbol_or_as_name(tmp_path, names, field, other):
    file = SavedFile(tmp_path, table("asset", *names))

    assert file.asked() == {"values": {"symbol": "", "name": ""}}
    assert f'[columns] {field} = "asset"' in str(file.refusal())
    assert f'[columns] {other} = "asset"' not in str(file.refusal())


def test_a_constant_beside_a_column_of_texts_needs_that_column_ignored(tmp_path):
    file = SavedFile(tmp_path, table("asset", "bitcoin", "ethereum"))

    why = (
        "and ignore = [\"asset\"] if 'asset' does not name coins (it has 'bitcoin' and 'ethereum')"
    )
    assert str(file.refusal()).count(why) == 2


def test_ids_that_count_rows_are_no_several_coins(tmp_path):
    asked = SavedFile(tmp_path, table("id", "1", "2", "3")).asked()

    assert asked == {"ignore": ["id"], "values": {"symbol": "", "name": ""}}
