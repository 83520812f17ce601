"""Questions about a refused file, asked at once, and the suggested answers."""

import tomllib
from pathlib import Path

import pytest

from tests.fakes.csv_files import SavedFile
from tests.fakes.csv_reader import load, refusal

BITCOIN = '[values]\nsymbol = "BTC"\nname = "Bitcoin"\n'


def table(header: str, *rows: str) -> str:
    return "\n".join([header, *rows]) + "\n"


def asked(folder: Path, name: str, content: str) -> tuple[dict, str]:
    path = folder / name
    path.write_text(content)
    message = str(refusal(path))
    return tomllib.loads(message.split("\n\n", 1)[1]), message


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_a_point_with_three_digits_is_asked_about_where_no_comma_parts_the_cells(
    tmp_path, delimiter
):
    content = table("date,symbol,name,price_usd", "2024-05-01,BTC,Bitcoin,42.000")
    file = SavedFile(tmp_path, content.replace(",", delimiter))

    assert file.asked() == {"decimal": ""}
    assert "'42.000' under 'price_usd' can be read with either" in str(file.refusal())

    file.declare('decimal = "comma"')
    assert file.prices() == ["42000"]
    file.declare('decimal = "point"')
    assert file.prices() == ["42.000"]


@pytest.mark.parametrize(
    ("other", "price"),
    [
        *((other, "1.234") for other in ("0.742", "1.5", "12.34")),
        *((other, "1234") for other in ("1.234,5", "7,5")),
    ],
)
def test_another_cell_proves_the_meaning_of_a_point(tmp_path, other, price):
    rows = ["2024-05-01;BTC;Bitcoin;1.234", f"2024-05-02;BTC;Bitcoin;{other}"]

    file = SavedFile(tmp_path, table("date;symbol;name;price_usd", *rows))

    assert file.prices()[0] == price


def test_an_ambiguous_point_after_the_first_rows_refuses_its_row_and_its_retry(tmp_path):
    rows = [f"2024-05-{day:02};BTC;Bitcoin;{day}" for day in range(1, 22)]
    content = table("date;symbol;name;price_usd", *rows, "2024-05-22;BTC;Bitcoin;1.234")

    last = SavedFile(tmp_path, content).records()[-1]

    why = "price_usd: the point in '1.234' may be a decimal mark or not; declare decimal"
    assert last.defect == why
    assert last.document["misfit"] == why


def test_amounts_that_look_like_epochs_are_not_suggested_as_times(tmp_path):
    rows = ["bitcoin,BTC,Bitcoin,134.21,1500520000", "bitcoin,BTC,Bitcoin,144.54,1491160000"]
    file = SavedFile(tmp_path, table("slug,symbol,name,price_usd,market", *rows))

    assert file.asked() == {"values": {"observed_at": ""}}


@pytest.mark.parametrize("header", ["taken_at", "moment"])
def test_epochs_are_suggested_as_times_by_their_header_or_their_even_steps(tmp_path, header):
    rows = ["1538092800,BTC,Bitcoin,1", "1538179200,BTC,Bitcoin,2"]
    file = SavedFile(tmp_path, table(f"{header},symbol,name,price_usd", *rows))

    assert file.asked() == {"columns": {"observed_at": header}}


@pytest.mark.parametrize("header", ["Last", "Kurs", "marketPrice", "Último", "Reading"])
def test_a_column_that_may_be_the_price_is_asked_about_beside_another_value(tmp_path, header):
    content = table(f"date,symbol,name,{header},market_cap_usd", "2024-05-01,BTC,Bitcoin,1.5,9")
    file = SavedFile(tmp_path, content)

    suggested = "" if header == "Reading" else header
    assert file.asked()["columns"] == {"price_usd": suggested}
    assert file.asked()["currency"] == "USD"

    file.declare(f'ignore = ["{header}"]')
    assert file.prices() == ["None"]


def test_a_file_of_market_caps_alone_is_not_asked_for_a_price(tmp_path):
    header = "date,symbol,name,market_cap_usd,Rank,Change 24h,Dominance,Vol,total_supply,%,desk"
    file = SavedFile(tmp_path, table(header, "2024-05-01,BTC,Bitcoin,9,1,1.5,51.2,3.5,7,0.5%,x"))

    assert file.prices() == ["None"]


def test_a_rank_is_suggested_to_be_ignored_beside_what_is_ignored_already(tmp_path):
    rows = [f"{rank},C{rank},Coin {rank},1,2024-05-01" for rank in range(1, 5)]
    content = table("ID,Symbol,Name,price_usd,date", *rows)

    file = SavedFile(tmp_path, content, 'ignore = ["x"]')

    assert file.asked() == {"ignore": ["x", "ID"]}
    assert "the file requires a declaration of: the content of 'ID'." in str(file.refusal())


@pytest.mark.parametrize(
    ("name", "header", "row", "why"),
    [
        ("BTC-EUR.csv", "Date,Close", "2024-05-01,1.5", "the file name 'BTC-EUR.csv' names EUR"),
        ("BTCGBP_1d.csv", "Date,Close", "2024-05-01,1.5", "'BTCGBP_1d.csv' names GBP"),
        ("ETHUSDT-1h.csv", "Date,Close", "2024-05-01,1.5", 'dollars, declare as_usd = ["USDT"]'),
        ("p.csv", "Date,Close,fee_gbp", "2024-05-01,1.5,1", "the header 'fee_gbp' names GBP"),
        ("hist_btc.csv", "Date,Close", "2024-05-01,1.5", '"USD" if prices are in US dollars'),
    ],
)
def test_dollars_are_not_suggested_where_nothing_proves_them(tmp_path, name, header, row, why):
    answer, message = asked(tmp_path, name, table(header, row))

    assert answer["currency"] == ""
    assert why in message


@pytest.mark.parametrize(
    ("header", "row"), [("Date,Close", "2024-05-01,$1.5"), ("Date,Close,fee_usd", "2024-05-01,1,1")]
)
def test_dollars_are_suggested_where_a_cell_or_a_header_names_them(tmp_path, header, row):
    assert asked(tmp_path, "p.csv", table(header, row))[0]["currency"] == "USD"


def test_all_questions_are_asked_at_once(tmp_path):
    answer, message = asked(tmp_path, "p.csv", table("Datum;coin;Kurs", "03.04.2024;btc;1.234"))

    assert answer == {
        "date_format": "",
        "decimal": "",
        "currency": "",
        "columns": {"price_usd": "Kurs", "observed_at": "Datum"},
        "values": {"symbol": "", "name": ""},
    }
    assert "[columns] symbol = \"coin\", which has 'btc'" in message


def test_a_proven_order_of_day_and_month_is_reported_and_stored_with_each_row(tmp_path):
    rows = ["03/04/2024,1.5", "29/03/2024,1.4"]
    file = SavedFile(tmp_path, table("date,price_usd", *rows), BITCOIN)

    stored = [each.document["declared"]["date_format"] for each in file.records()]
    assert stored == ["day-first"] * 2
    assert file.reading().settled == [
        "dates are day-first, because 'date' has '29/03/2024'",
        "dates without a time under 'date' count as 00:00:00 UTC; declare time_of_day to change it",
    ]


@pytest.mark.parametrize("impossible", ["45/02/2024", "02/30/2023", "30/02/2023"])
def test_an_invalid_date_proves_no_order_of_day_and_month(tmp_path, impossible):
    rows = ["03/04/2024,1.5", f"{impossible},1.4"]
    file = SavedFile(tmp_path, table("date,price_usd", *rows), BITCOIN)

    assert file.asked()["date_format"] == ""
    assert "'date' has '03/04/2024'" in str(file.refusal())


def test_one_of_several_value_columns_is_suggested_only_if_it_alone_fits(tmp_path):
    file = SavedFile(tmp_path, table("date,price,close", "2024-05-01,1.5,2.5"), BITCOIN)
    assert file.asked()["columns"] == {"price_usd": ""}
    assert "choose one of 'price', 'close'" in str(file.refusal())

    file = SavedFile(tmp_path, table("date,price,close", "2024-05-01,x,2.5"), BITCOIN)
    assert file.asked()["columns"] == {"price_usd": "close"}


@pytest.mark.parametrize(
    ("time", "declared", "said"),
    [
        ("2024-05-01", "", "00:00:00 UTC"),
        ("May 1, 2024", 'timezone = "Europe/Berlin"\n', "00:00:00 Europe/Berlin"),
        ("20240501", 'date_format = "%Y%m%d"\n', "00:00:00 UTC"),
        ("2024-05-01", 'time_of_day = "23:59:59"\n', None),
        ("2024-05-01 12:00", "", None),
        ("1714521600", "", None),
    ],
)
def test_the_result_names_the_time_assumed_for_dates_without_a_time(tmp_path, time, declared, said):
    content = table("day,price_usd", f'"{time}",1.5')
    columns = '[columns]\nobserved_at = "day"\n'

    settled = SavedFile(tmp_path, content, f"{declared}{columns}{BITCOIN}").reading().settled

    line = f"dates without a time under 'day' count as {said}; declare time_of_day to change it"
    assert settled == ([line] if said else [])


@pytest.mark.parametrize("header", ["Pair", "Symbol"])
def test_one_declaration_answers_for_pairs_that_a_constant_replaces(tmp_path, header):
    content = table(f"date,{header},Close", "2024-05-01,BTCUSDT,1.5")
    file = SavedFile(tmp_path, content, BITCOIN)

    assert {key: value for key, value in file.asked().items() if key != "values"} == {"as_usd": []}

    file.declare(f'as_usd = ["USDT"]\n{BITCOIN}')
    assert file.prices() == ["1.5"]


def test_a_declared_stablecoin_answers_for_the_file_name(tmp_path):
    content = table("date,symbol,name,Close", "2024-05-01,BTC,Bitcoin,1.5")
    assert asked(tmp_path, "BTCUSDT_1d.csv", content)[0] == {"currency": ""}

    (tmp_path / "BTCUSDT_1d.csv.toml").write_text('as_usd = ["USDT"]')
    assert len(load(tmp_path / "BTCUSDT_1d.csv")) == 1

    (tmp_path / "BTCUSDT_1d.csv.toml").write_text('as_usd = ["DAI"]')
    assert "'BTCUSDT_1d.csv' names USDT" in str(refusal(tmp_path / "BTCUSDT_1d.csv"))


def test_dollars_are_suggested_where_a_header_names_a_declared_stablecoin(tmp_path):
    content = table("date,symbol,name,Close,fee_usdt", "2024-05-01,BTC,Bitcoin,1.5,1")

    assert SavedFile(tmp_path, content).asked() == {"currency": ""}
    assert SavedFile(tmp_path, content, 'as_usd = ["USDT"]').asked()["currency"] == "USD"


def test_pairs_in_another_currency_are_refused_before_anything_is_asked(tmp_path):
    content = table("date,symbol,Close", "2024-05-01,BTC/EUR,1.5")

    assert SavedFile(tmp_path, content, BITCOIN).refusal().code == "declaration"
