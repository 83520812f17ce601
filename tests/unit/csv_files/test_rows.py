"""Rows of CSV files: what each means, and which encoding and delimiter it is read with."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from marshmallow import ValidationError

from shared.model.records import Reject
from tests.fakes.csv_reader import BITCOIN, ETHER, HEADER, KAGGLE, load, observe, refusal, write
from worker.ingest.checking.check import check
from worker.sources.csv.source import CsvFiles

INVESTING = (
    '"Date","Price","Open","High","Low","Vol.","Change %"\n'
    '"Jan 14, 2020","8,746.6","8,111.2","8,848.4","8,111.2","1.38M","-0.00%"\n'
)


# What a row means


def test_a_row_is_stored_as_read_and_observed_from_its_payload_alone(tmp_path):
    path = write(tmp_path / "prices.csv", HEADER, BITCOIN)

    (record,) = load(path)

    assert record.position == "prices.csv, line 2"
    assert record.payload == (
        b'{"row":{"id":"bitcoin","symbol":"BTC","name":"Bitcoin","price_usd":"32797.10",'
        b'"last_updated":"2021-06-24T03:32:13.383Z"}}'
    )
    observation = observe(record)
    assert observation.external_id == "bitcoin"
    assert observation.observed_at == datetime(2021, 6, 24, 3, 32, 13, 383000, UTC)
    assert str(observation.price_usd) == "32797.10"
    assert observation.market_cap_usd is None


@pytest.mark.parametrize(
    ("header", "row", "external_id"),
    [
        (HEADER, ETHER.replace("1913.88", "-1"), "mine:ethereum"),
        (HEADER, ETHER.replace("1913.88", "12x"), "mine:ethereum"),
        (HEADER, ETHER.replace("ethereum", " "), None),
        (HEADER, ETHER.replace("Ethereum,", ""), None),
        (HEADER.replace("id", "note"), ETHER.replace("1913.88", "-1"), None),
    ],
)
def test_a_refused_row_keeps_the_id_of_its_column(tmp_path, header, row, external_id):
    (tmp_path / "prices.csv.toml").write_text('namespace = "mine"\n')
    _, record = load(write(tmp_path / "prices.csv", header, BITCOIN, row))

    reject = check(CsvFiles(path="", rows_per_page=1), record, datetime.now(UTC))

    assert isinstance(reject, Reject)
    assert reject.external_id == external_id


def test_the_order_of_a_stored_row_s_keys_does_not_matter(tmp_path):
    (record,) = load(write(tmp_path / "prices.csv", HEADER, BITCOIN))
    row = dict(reversed(record.document["row"].items()))

    assert CsvFiles(path="", rows_per_page=1).observe({"row": row}) == observe(record)


def test_a_daily_history_is_read_as_declared(tmp_path):
    path = tmp_path / "coin_Bitcoin.csv"
    path.write_text(KAGGLE, newline="")
    (tmp_path / "coin_Bitcoin.csv.toml").write_text(
        'currency = "USD"\ndate_format = "day-first"\nnamespace = "kaggle"\n'
        'zero_is_unknown = ["volume_24h_usd"]\n[columns]\nvolume_24h_usd = "Volume"\n'
    )

    first, second = map(observe, load(path))

    assert first.external_id == second.external_id == "kaggle:btc-bitcoin"
    assert second.observed_at == datetime(2013, 5, 1, 23, 59, tzinfo=UTC)
    assert first.price_usd == Decimal("144.5399933")
    assert (first.volume_24h_usd, second.volume_24h_usd) == (None, 26501259870)
    assert second.market_cap_usd == 641899000000


def test_a_file_without_a_symbol_is_read_with_declared_values(tmp_path):
    path = tmp_path / "investing.csv"
    path.write_text(INVESTING)
    declaration = tmp_path / "elsewhere.toml"
    declaration.write_text(
        'currency = "USD"\ntime_of_day = "23:59"\n[values]\nsymbol = "BTC"\nname = "Bitcoin"\n'
    )

    (record,) = load(path, declaration)

    assert record.document["declared"]["values"] == {"symbol": "BTC", "name": "Bitcoin"}
    observation = observe(record)
    assert observation.external_id == "btc-bitcoin"
    assert observation.observed_at == datetime(2020, 1, 14, 23, 59, tzinfo=UTC)
    assert observation.price_usd == Decimal("8746.6")
    assert observation.volume_24h_usd is None


def test_a_declared_id_and_time_hold_for_every_row(tmp_path):
    path = write(tmp_path / "prices.csv", "symbol,name,price_usd", "BTC,Bitcoin,1")
    (tmp_path / "prices.csv.toml").write_text(
        '[values]\nid = "bitcoin"\nobserved_at = 2024-05-01T00:00:00+02:00\n'
    )

    observation = observe(load(path)[0])

    assert observation.external_id == "bitcoin"
    assert observation.observed_at == datetime(2024, 4, 30, 22, tzinfo=UTC)


def test_every_bad_cell_of_a_row_is_named(tmp_path):
    path = write(tmp_path / "p.csv", HEADER, BITCOIN, "x,X,,12%,29-04-2016")

    with pytest.raises(ValidationError) as caught:
        observe(load(path)[1])

    reasons = caught.value.messages
    assert reasons.keys() == {"name", "price_usd", "observed_at"}
    assert reasons["price_usd"] == ["not a number: '12%'"]


def test_zero_is_no_market_cap_and_no_supply(tmp_path):
    header = "symbol,name,date,price_usd,market_cap_usd,24h_volume_usd,total_supply"
    path = write(tmp_path / "p.csv", header, "X,X coin,2024-05-01,0,0,0,0.0")

    observation = observe(load(path)[0])

    assert (observation.price_usd, observation.volume_24h_usd) == (0, 0)
    assert (observation.market_cap_usd, observation.total_supply) == (None, None)


@pytest.mark.parametrize("document", [{}, {"row": []}, {"row": {"id": "x"}}, {"row": {"id": 7}}])
def test_a_document_that_is_no_row_is_refused(document):
    with pytest.raises(ValidationError):
        CsvFiles(path="", rows_per_page=1).observe(document)


# What a file is


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_delimiter_encoding_and_newline_are_told_from_the_file(
    tmp_path, delimiter, encoding, newline
):
    lines = [HEADER, "ċoin,Ċ,Coin Ċ ਊ 🪙,1.5,2024-05-01", BITCOIN]
    text = newline.join(line.replace(",", delimiter) for line in lines)
    mark = "\ufeff" if encoding.startswith("utf-16") else ""
    path = tmp_path / "prices.csv"
    path.write_bytes((mark + text).encode(encoding))

    first, second = map(observe, load(path))

    assert first.name == "Coin Ċ ਊ 🪙"
    assert second.external_id == "bitcoin"


def test_quoted_cells_hold_delimiters_quotes_and_newlines(tmp_path):
    path = write(tmp_path / "p.csv", HEADER, 'x,X,"A, ""b""\nc",1,2024-05-01', BITCOIN)

    first, second = load(path)

    assert first.document["row"]["name"] == 'A, "b"\nc'
    assert second.position == "p.csv, line 4"


def test_an_unnamed_first_column_is_stored(tmp_path):
    path = write(tmp_path / "p.csv", f",{HEADER}", f"0,{BITCOIN}")

    assert load(path)[0].document["row"][""] == "0"


def test_blank_lines_are_no_rows_but_are_counted(tmp_path):
    path = write(tmp_path / "p.csv", "", HEADER, BITCOIN, "", "  ", ETHER, "")

    assert [record.position for record in load(path)] == ["p.csv, line 3", "p.csv, line 6"]


def test_latin_1_is_read_where_it_is_declared(tmp_path):
    path = tmp_path / "p.csv"
    path.write_bytes(f"{HEADER}\nx,X,Café,1,2024-05-01\n{BITCOIN}\n".encode("latin-1"))

    first, second = load(path)
    assert "not utf-8" in first.defect
    assert first.document is None
    assert first.payload == b"x,X,Caf\xe9,1,2024-05-01\n"
    assert second.defect is None

    (tmp_path / "p.csv.toml").write_text('encoding = "latin-1"')
    assert observe(load(path)[0]).name == "Café"
    assert "declared" not in load(path)[0].document


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("x,X", "2 cells under 5 headers"),
        (f"{BITCOIN},7", "6 cells under 5 headers"),
        ("x,X,A\0B,1,2024-05-01", "contains U+0000"),
        ('x,X,"A"B,1,2024-05-01', "not CSV: ',' expected after '\"'"),
    ],
)
def test_a_broken_row_becomes_a_defect_and_affects_no_other(tmp_path, row, reason):
    path = write(tmp_path / "p.csv", HEADER, BITCOIN, row, ETHER)

    records = load(path)

    assert [record.defect for record in records] == [None, reason, None]
    assert records[1].payload == f"{row}\n".encode()
    assert records[1].position == "p.csv, line 3"


@pytest.mark.parametrize("rows_after", [1, 10, 20_000])
def test_a_stray_quote_affects_only_its_own_line(tmp_path, rows_after):
    stray = 'x,X,"Broken,1,2024-05-01'
    path = write(tmp_path / "p.csv", HEADER, BITCOIN, stray, *[ETHER] * rows_after)

    records = load(path)

    assert len(records) == 2 + rows_after
    assert [record.position for record in records if record.defect] == ["p.csv, line 3"]


def test_a_file_without_lines_is_refused(tmp_path):
    path = tmp_path / "p.csv"
    path.write_bytes(b"a" * 3_000_000)

    assert refusal(path).code == "not_csv"


@pytest.mark.parametrize(("content", "code"), [(b"", "no_header"), (b"\n\n", "no_header")])
def test_an_empty_file_is_refused(tmp_path, content, code):
    path = tmp_path / "p.csv"
    path.write_bytes(content)

    assert refusal(path).code == code


def test_a_duplicate_name_in_the_header_is_asked_about(tmp_path):
    error = refusal(write(tmp_path / "p.csv", f"{HEADER},name", f"{BITCOIN},x"))

    assert error.code == "undeclared"
    assert "'name'" in str(error)
