"""Files that are refused as `undeclared`, and the declaration that answers them."""

import tomllib
from decimal import Decimal

from shared.errors import SourceError
from tests.fakes.csv_reader import BITCOIN, HEADER, KAGGLE, load, observe, refusal, write

SEMICOLONS = (
    "timeClose;name;open;close;volume;marketCap;circulatingSupply;timestamp\n"
    '"2025-10-20T23:59:59.999Z";"2781";108667.44;110588.93;63507793084.59;2204868785654.89;'
    '19937518;"2025-10-20T23:59:59.999Z"\n'
)


def shown_toml(error: SourceError):
    return tomllib.loads(str(error).split("\n\n", 1)[1])


def test_a_refused_file_is_shown_all_that_it_must_declare(tmp_path):
    path = tmp_path / "coin_Bitcoin.csv"
    path.write_text(KAGGLE, newline="")

    error = refusal(path)

    assert error.code == "undeclared"
    assert f"{path}.toml" in str(error)
    assert shown_toml(error) == {
        "currency": "",
        "ignore": ["Volume"],
    }


def test_the_declaration_that_is_shown_is_enough_once_it_is_filled_in(tmp_path):
    path = tmp_path / "coin_Bitcoin.csv"
    path.write_text(KAGGLE, newline="")
    shown = str(refusal(path)).split("\n\n", 1)[1]
    filled = shown.replace('currency = ""', 'currency = "USD"')
    (tmp_path / "coin_Bitcoin.csv.toml").write_text(filled)

    assert len(list(map(observe, load(path)))) == 2


def test_an_unfilled_declaration_is_refused(tmp_path):
    path = tmp_path / "coin_Bitcoin.csv"
    path.write_text(KAGGLE, newline="")
    (tmp_path / "coin_Bitcoin.csv.toml").write_text(str(refusal(path)).split("\n\n", 1)[1])

    assert refusal(path).code == "declaration"


def test_a_day_above_twelve_proves_the_order_of_day_and_month(tmp_path):
    rows = ["x,X,X coin,1,03/05/2016", "x,X,X coin,1,29/05/2016"]

    days = [observe(each).observed_at for each in load(write(tmp_path / "p.csv", HEADER, *rows))]

    assert [f"{day:%Y-%m-%d}" for day in days] == ["2016-05-03", "2016-05-29"]


def test_dates_are_asked_about_if_no_order_or_both_are_proven(tmp_path):
    low = ["x,X,X coin,1,03/05/2016", "x,X,X coin,1,04/05/2016"]
    both = ["x,X,X coin,1,13/05/2016", "x,X,X coin,1,05/29/2016"]

    assert shown_toml(refusal(write(tmp_path / "p.csv", HEADER, *low))) == {"date_format": ""}
    error = refusal(write(tmp_path / "q.csv", HEADER, *both))
    assert "has '13/05/2016' and '05/29/2016'" in str(error)


def test_one_bad_time_among_good_ones_is_a_reject_and_no_question(tmp_path):
    path = write(tmp_path / "p.csv", HEADER, "x,X,X coin,1,soon", BITCOIN)

    assert len(load(path)) == 2


def test_a_number_is_not_a_name(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text(SEMICOLONS)

    error = refusal(path)

    assert "'name' has '2781', which is a number" in str(error)
    assert shown_toml(error) == {
        "currency": "",
        "ignore": ["volume"],
        "values": {"symbol": "", "name": ""},
    }


def test_ids_that_count_the_rows_are_asked_about(tmp_path):
    rows = [f"{number},C{number},Coin,1,2024-05-01" for number in range(1, 5)]
    path = write(tmp_path / "p.csv", HEADER, *rows)

    assert shown_toml(refusal(path)) == {"ignore": ["id"]}

    (tmp_path / "p.csv.toml").write_text('ignore = ["id"]')
    assert observe(load(path)[0]).external_id == "c1-coin"


def test_a_comma_that_may_be_a_decimal_mark_is_asked_about(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text(f"{HEADER}\nx,X,X coin,1.234,2024-05-01\n".replace(",", ";").replace(".", ","))

    assert shown_toml(refusal(path)) == {"decimal": ""}

    (tmp_path / "p.csv.toml").write_text('decimal = "comma"')
    assert observe(load(path)[0]).price_usd == Decimal("1.234")


def test_a_comma_that_comes_late_is_a_defect(tmp_path):
    row = "x;X;X coin;1;2024-05-01"
    path = write(
        tmp_path / "p.csv", HEADER.replace(",", ";"), *[row] * 30, row.replace("1", "1,5", 1)
    )

    assert [record.defect for record in load(path) if record.defect] == [
        "price_usd: the comma in '1,5' may be a decimal mark or not; declare decimal"
    ]


def test_a_header_that_is_not_utf_8_is_asked_about_with_all_else(tmp_path):
    path = tmp_path / "p.csv"
    path.write_bytes("id,symbol,name,price,date,Zürich\nx,X,X,1,2024-05-01,\n".encode("latin-1"))

    assert shown_toml(refusal(path)) == {"currency": "", "encoding": "latin-1"}
