"""Files that contradict their declaration, or themselves, and ids that only count."""

from pathlib import Path

import pytest

from shared.errors import SourceError
from tests.fakes.csv_files import SavedFile
from worker.sources.csv import CsvFiles

HEADER = "date,symbol,name,price_usd"
BITCOIN = "2024-01-14,BTC,Bitcoin,41800.5"
ETHER = "2024-01-14,ETH,Ethereum,2470.5"


def table(*rows: str, header: str = HEADER) -> str:
    return "\n".join([header, *rows]) + "\n"


@pytest.mark.parametrize("key", ['symbol = "BTC"', 'name = "Bitcoin"', 'id = "bitcoin"'])
def test_a_constant_over_a_column_that_differs_is_refused(tmp_path, key):
    error = SavedFile(tmp_path, table(BITCOIN, ETHER), f"[values]\n{key}\n").refusal()

    assert error.code == "declaration"
    assert f"[values] {key.split()[0]} applies to every row of the file" in str(error)


def test_a_constant_that_contradicts_the_one_value_of_a_column_is_refused(tmp_path):
    declared = '[values]\nsymbol = "BTC"\nname = "Bitcoin"\n'

    assert "has 'ETH', but 'BTC' is declared" in str(
        SavedFile(tmp_path, table(ETHER), declared).refusal()
    )


@pytest.mark.parametrize("symbol", ["btc", "BTC/USD", "BTCUSD", "1"])
def test_a_constant_may_spell_what_a_column_says_or_replace_a_number(tmp_path, symbol):
    declared = '[values]\nsymbol = "BTC"\n'

    assert SavedFile(tmp_path, table(BITCOIN.replace("BTC", symbol)), declared).prices() == [
        "41800.5"
    ]


def test_a_constant_goes_before_an_ignored_column_that_says_one_thing(tmp_path):
    content = table(BITCOIN.replace("BTC", "XBT"))
    declared = 'ignore = ["symbol"]\n[values]\nsymbol = "BTC"\n'

    assert [each.symbol for each in SavedFile(tmp_path, content, declared).observed()] == ["BTC"]


def test_a_row_that_contradicts_a_constant_later_is_refused(tmp_path):
    rows = [f"2024-02-{day:02},BTC,Bitcoin,1" for day in range(1, 26)]
    file = SavedFile(tmp_path, table(*rows, ETHER), '[values]\nname = "Bitcoin"\n')

    *others, last = file.reasons()

    assert not any(others)
    assert any("'ETH' contradicts [values] name" in reason for reason in last)


def test_a_pair_in_another_currency_that_a_constant_hides_later_is_refused(tmp_path):
    rows = [f"2024-02-{day:02},BTC/USD,Bitcoin,1" for day in range(1, 26)]
    file = SavedFile(
        tmp_path,
        table(*rows, "2024-02-26,BTC/EUR,Bitcoin,1"),
        'currency = "USD"\n[values]\nsymbol = "BTC"\n',
    )

    *others, last = file.reasons()

    assert not any(others)
    assert last == ["symbol: 'BTC/EUR' is priced in EUR, and only US dollars are read"]


def test_a_constant_time_over_dates_is_refused(tmp_path):
    rows = [BITCOIN, BITCOIN.replace("-14", "-15")]
    file = SavedFile(tmp_path, table(*rows), '[values]\nobserved_at = "2024-01-14"\n')

    assert "[values] observed_at applies to every row" in str(file.refusal())


def test_constants_for_several_files_are_refused(tmp_path):
    declaration = tmp_path / "many.toml"
    declaration.write_text('currency = "USD"\n[values]\nsymbol = "BTC"\nname = "Bitcoin"\n')
    source = CsvFiles(path="unused", rows_per_page=10)

    with pytest.raises(SourceError, match=r"\[values\] symbol, name would apply to each of 2"):
        source.declared_for(declaration, [Path("btc.csv"), Path("eth.csv")])
    assert source.declared_for(declaration, [Path("btc.csv")]).declaration == declaration

    declaration.write_text('currency = "USD"\n')
    both = source.declared_for(declaration, [Path("btc.csv"), Path("eth.csv")])
    assert both.declaration == declaration


def test_a_file_whose_rows_differ_at_one_instant_is_refused(tmp_path):
    rows = ["bitcoin,BTC,Bitcoin,135.3", "bitcoin,BTC,Bitcoin,134.44", "bitcoin,BTC,Bitcoin,144"]
    content = table(*rows, header="slug,symbol,name,price_usd")

    error = SavedFile(tmp_path, content, '[values]\nobserved_at = "2017-10-01"\n').refusal()

    assert error.code == "differing_rows"
    assert "lines 2 and 3 have different values" in str(error)
    assert "price_usd 135.3 and 134.44" in str(error)


def test_a_file_is_refused_if_half_of_its_first_rows_differ_and_read_if_fewer_do(tmp_path):
    differing = [BITCOIN, BITCOIN.replace("41800.5", "99")]
    others = [BITCOIN.replace("-14", f"-{day}") for day in (15, 16, 17)]

    assert SavedFile(tmp_path, table(*differing, *others[:2])).refusal().code == "differing_rows"
    assert SavedFile(tmp_path, table(*differing, *others)).prices()[:2] == ["41800.5", "99"]


def test_rows_that_say_the_same_twice_are_no_contradiction(tmp_path):
    assert SavedFile(tmp_path, table(BITCOIN, BITCOIN)).prices() == ["41800.5", "41800.5"]


def ranked(*ids: int) -> str:
    rows = [f"{id_},C{id_},Coin {id_},1" for id_ in ids]
    return table(*rows, header="ID,Symbol,Name,price_usd")


@pytest.mark.parametrize(
    "ids",
    [(99, 100, 101, 102), (3, 2, 1), (1, 2, 99, 100, 101, 499), (12, 10, 11), (0, 1, 2)],
    ids=["a page", "descending", "an excerpt", "unsorted", "row numbers"],
)
def test_ids_that_count_are_asked_about(tmp_path, ids):
    declared = '[values]\nobserved_at = "2017-07-17"\n'
    file = SavedFile(tmp_path, ranked(*ids), declared)

    assert file.asked()["ignore"] == ["ID"]
    assert "columns" not in file.asked()
    assert 'permanent ids of the provider, write [columns] id = "ID" instead' in str(file.refusal())

    file.declare(f'ignore = ["ID"]\n{declared}')
    assert file.observed()[0].external_id == f"c{ids[0]}-coin-{ids[0]}"


def test_numeric_ids_that_do_not_count_are_ids(tmp_path):
    file = SavedFile(tmp_path, ranked(1, 1027, 825, 52), '[values]\nobserved_at = "2017-07-17"\n')

    assert [each.external_id for each in file.observed()] == ["1", "1027", "825", "52"]
