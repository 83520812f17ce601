import json
import os
import tomllib
import tracemalloc
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from marshmallow import ValidationError

from shared.errors import SourceError
from worker.sources.csv.source import CsvFiles

HEADER = "id,symbol,name,price_usd,last_updated"
BITCOIN = "bitcoin,BTC,Bitcoin,32797.10,2021-06-24T03:32:13.383Z"
ETHER = "ethereum,ETH,Ethereum,1913.88,2021-06-24T03:32:18.562Z"
CARDANO = "cardano,ADA,Cardano,1.28,2021-06-24T03:32:15.107Z"
KAGGLE = (
    "SNo,Name,Symbol,Date,High,Low,Open,Close,Volume,Marketcap\r\n"
    "1,Bitcoin,BTC,29-04-2013 23:59,147.4880066,134,134.4440002,144.5399933,0,1603768865\r\n"
    "2,Bitcoin,BTC,01-05-2013 23:59,146.92,134.05,144,139,26501259870,6.41899E+11\r\n"
)
INVESTING = (
    '"Date","Price","Open","High","Low","Vol.","Change %"\n'
    '"Jan 14, 2020","8,746.6","8,111.2","8,848.4","8,111.2","1.38M","-0.00%"\n'
)
SEMICOLONS = (
    "timeClose;name;open;close;volume;marketCap;circulatingSupply;timestamp\n"
    '"2025-10-20T23:59:59.999Z";"2781";108667.44;110588.93;63507793084.59;2204868785654.89;'
    '19937518;"2025-10-20T23:59:59.999Z"\n'
)


def no_fetch(request, validator=None):
    raise AssertionError(request, validator)


def write(path: Path, *lines: str, end: str = "\n") -> Path:
    path.write_bytes(("\n".join(lines) + end).encode())
    return path


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


class Reader:
    """Runs the source over and over, as the loop does, keeping its cursor as JSON."""

    def __init__(self, path, rows_per_page=2):
        self.source = CsvFiles(path=str(path), rows_per_page=rows_per_page)
        self.cursor = None

    def run(self, stop_after=None):
        """Read what is new; with `stop_after`, that many pages only."""
        records = []
        pages = self.source.pages(no_fetch, self.cursor, {})
        for number, page in enumerate(pages, start=1):
            assert number == 1 or page.cursor == self.cursor
            records += page.records
            self.cursor = json.loads(json.dumps(page.next_cursor))
            if number == stop_after:
                pages.close()
                break
        return records

    def names(self, **options):
        return [record.defect or record.document["row"]["id"] for record in self.run(**options)]


def load(path: Path, declaration: Path | None = None):
    source = CsvFiles(path="unused", rows_per_page=2, declaration=declaration)
    return [record for page in source.saved_pages(path) for record in page.records]


def observe(record):
    """Say what a record means from its stored payload alone."""
    document = msgspec.json.Decoder(float_hook=Decimal).decode(record.payload)
    assert document == record.document
    return CsvFiles(path="unused", rows_per_page=1).observe(document)


def refusal(path: Path, declaration: Path | None = None) -> SourceError:
    with pytest.raises(SourceError) as caught:
        load(path, declaration)
    return caught.value


# What a row means


def test_a_row_is_kept_as_read_and_observed_from_its_payload_alone(tmp_path):
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
    declaration.write_text('currency = "USD"\n[values]\nsymbol = "BTC"\nname = "Bitcoin"\n')

    (record,) = load(path, declaration)

    assert record.document["declared"]["values"] == {"symbol": "BTC", "name": "Bitcoin"}
    observation = observe(record)
    assert observation.external_id == "btc-bitcoin"
    assert observation.observed_at == datetime(2020, 1, 14, tzinfo=UTC)
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


def test_an_unnamed_first_column_is_kept(tmp_path):
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
        ("x,X,A\0B,1,2024-05-01", "holds U+0000"),
        ('x,X,"A"B,1,2024-05-01', "not CSV: ',' expected after '\"'"),
    ],
)
def test_a_broken_row_is_kept_as_a_defect_and_costs_no_other(tmp_path, row, reason):
    path = write(tmp_path / "p.csv", HEADER, BITCOIN, row, ETHER)

    records = load(path)

    assert [record.defect for record in records] == [None, reason, None]
    assert records[1].payload == f"{row}\n".encode()
    assert records[1].position == "p.csv, line 3"


@pytest.mark.parametrize("rows_after", [1, 10, 20_000])
def test_a_stray_quote_costs_its_own_line_alone(tmp_path, rows_after):
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


def test_a_header_that_stands_twice_is_refused(tmp_path):
    error = refusal(write(tmp_path / "p.csv", f"{HEADER},name", f"{BITCOIN},x"))

    assert error.code == "duplicate_header"
    assert "'name'" in str(error)


# What must be declared


def shown_toml(error: SourceError):
    return tomllib.loads(str(error).split("\n\n", 1)[1])


def test_a_refused_file_is_shown_all_that_it_must_declare(tmp_path):
    path = tmp_path / "coin_Bitcoin.csv"
    path.write_text(KAGGLE, newline="")

    error = refusal(path)

    assert error.code == "undeclared"
    assert f"{path}.toml" in str(error)
    assert "'Date' has '29-04-2013 23:59'" in str(error)
    assert shown_toml(error) == {
        "currency": "USD",
        "date_format": "",
        "columns": {"volume_24h_usd": "Volume"},
    }


def test_the_declaration_that_is_shown_is_enough_once_it_is_filled_in(tmp_path):
    path = tmp_path / "coin_Bitcoin.csv"
    path.write_text(KAGGLE, newline="")
    shown = str(refusal(path)).split("\n\n", 1)[1]
    filled = shown.replace('date_format = ""', 'date_format = "day-first"')
    (tmp_path / "coin_Bitcoin.csv.toml").write_text(filled)

    assert len(list(map(observe, load(path)))) == 2


def test_an_unfilled_declaration_is_refused(tmp_path):
    path = tmp_path / "coin_Bitcoin.csv"
    path.write_text(KAGGLE, newline="")
    (tmp_path / "coin_Bitcoin.csv.toml").write_text(str(refusal(path)).split("\n\n", 1)[1])

    assert refusal(path).code == "declaration"


def test_a_day_over_twelve_settles_nothing(tmp_path):
    rows = ["x,X,X coin,1,13/05/2016", "x,X,X coin,1,29/05/2016"]

    assert shown_toml(refusal(write(tmp_path / "p.csv", HEADER, *rows))) == {"date_format": ""}


def test_one_bad_time_among_good_ones_is_a_reject_and_no_question(tmp_path):
    path = write(tmp_path / "p.csv", HEADER, "x,X,X coin,1,soon", BITCOIN)

    assert len(load(path)) == 2


def test_a_number_is_no_name(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text(SEMICOLONS)

    error = refusal(path)

    assert "'name' has '2781', which is a number" in str(error)
    assert shown_toml(error) == {
        "currency": "USD",
        "columns": {"volume_24h_usd": "volume"},
        "values": {"symbol": "", "name": ""},
    }


def test_ids_that_count_the_rows_are_asked_about(tmp_path):
    rows = [f"{number},C{number},Coin,1,2024-05-01" for number in range(1, 5)]
    path = write(tmp_path / "p.csv", HEADER, *rows)

    assert shown_toml(refusal(path)) == {"columns": {"id": "id"}}

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
        "price_usd: the comma in '1,5' may be a decimal mark or not; decimal can be declared"
    ]


def test_a_header_that_is_not_utf_8_is_asked_about_with_all_else(tmp_path):
    path = tmp_path / "p.csv"
    path.write_bytes("id,symbol,name,price,date,Zürich\nx,X,X,1,2024-05-01,\n".encode("latin-1"))

    assert shown_toml(refusal(path)) == {"currency": "USD", "encoding": "latin-1"}


# What a run reads


def test_pages_are_of_the_size_asked_for(tmp_path):
    path = write(tmp_path / "p.csv", HEADER, BITCOIN, ETHER, CARDANO)

    pages = list(CsvFiles(path=str(path), rows_per_page=2).pages(no_fetch, None, {}))

    assert [len(page.records) for page in pages] == [2, 1]
    assert pages[1].cursor == pages[0].next_cursor


def test_a_long_file_takes_no_more_memory_than_a_short_one(tmp_path):
    peaks = []
    for rows in (2_000, 20_000):
        path = write(tmp_path / f"{rows}.csv", HEADER, *[BITCOIN] * rows)
        source = CsvFiles(path=str(path), rows_per_page=100)
        tracemalloc.start()
        assert sum(len(page.records) for page in source.pages(no_fetch, None, {})) == rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[1] < peaks[0] * 1.1


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_that_did_not_change_is_not_read_again(tmp_path, end):
    reader = Reader(write(tmp_path / "p.csv", HEADER, BITCOIN, ETHER, end=end))

    assert reader.names() == ["bitcoin", "ethereum"]
    before = reader.cursor
    assert reader.names() == []
    assert reader.cursor == before


@pytest.mark.parametrize("stop_after", [1, 2])
def test_a_run_that_was_cut_off_goes_on_at_its_page(tmp_path, stop_after):
    lines = [f"c{number},C,Coin,1,2024-05-01" for number in range(5)]
    reader = Reader(write(tmp_path / "p.csv", HEADER, *lines))

    names = reader.names(stop_after=stop_after) + reader.names()

    assert names == [f"c{number}" for number in range(5)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_appended_file_goes_on_where_it_stopped(tmp_path, encoding):
    path = tmp_path / "p.csv"
    path.write_bytes(f"{HEADER}\n{BITCOIN}\nċ,Ċ,ਊ,1,2024-05-01\n".encode(encoding))
    reader = Reader(path)
    reader.run()

    codec = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le"}.get(encoding, encoding)
    append(path, f"{ETHER}\n".encode(codec))
    (record,) = reader.run()

    assert record.document["row"]["id"] == "ethereum"
    assert record.position == "p.csv, line 4"
    assert reader.names() == []


@pytest.mark.parametrize(
    "lines",
    [[HEADER, ETHER, CARDANO], [HEADER, ETHER], [HEADER, ETHER, BITCOIN, CARDANO]],
    ids=["as long", "shorter", "longer"],
)
def test_a_replaced_file_is_read_again(tmp_path, lines):
    path = write(tmp_path / "p.csv", HEADER, BITCOIN, CARDANO)
    reader = Reader(path)
    reader.run()

    write(tmp_path / "new", *lines).replace(path)

    assert len(reader.names()) == len(lines) - 1
    assert reader.names() == []


def test_a_file_rewritten_in_place_is_read_again(tmp_path):
    path = write(tmp_path / "p.csv", HEADER, BITCOIN, CARDANO)
    reader = Reader(path)
    reader.run()

    write(path, HEADER, BITCOIN, CARDANO.replace("1.28", "1.29"))
    os.utime(path, ns=(0, 0))

    assert reader.names() == ["bitcoin", "cardano"]


def test_a_file_that_was_touched_only_is_looked_at_and_brings_nothing(tmp_path):
    path = write(tmp_path / "p.csv", HEADER, BITCOIN)
    reader = Reader(path)
    reader.run()

    os.utime(path, ns=(0, 0))

    assert reader.names() == []
    assert list(reader.source.pages(no_fetch, reader.cursor, {})) == []


def test_a_changed_declaration_has_the_file_read_again(tmp_path):
    path = write(tmp_path / "p.csv", HEADER, BITCOIN)
    reader = Reader(path)
    reader.run()

    (tmp_path / "p.csv.toml").write_text('namespace = "mine"')

    (record,) = reader.run()
    assert observe(record).external_id == "mine:bitcoin"
    assert reader.names() == []


@pytest.mark.parametrize(
    ("half", "rest"),
    [
        (ETHER[:4].encode(), ETHER[4:].encode()),
        (ETHER[:-20].encode(), ETHER[-20:].encode()),
        (b'ethereum,ETH,"Ether', b'",1,2024-05-01'),
        (b'ethereum,ETH,"Ether\nand more', b'",1,2024-05-01'),
        (b'ethereum,ETH,"Ether\nand more",', b"1,2024-05-01"),
        (b'ethereum,ETH,"Ether\n', b'and more",1,2024-05-01'),
        (b"ethereum,ETH,Ether " + "🪙".encode()[:2], "🪙".encode()[2:] + b",1,2024-05-01"),
    ],
)
def test_a_half_written_last_line_waits_until_it_is_whole(tmp_path, half, rest):
    path = write(tmp_path / "p.csv", HEADER, BITCOIN)
    append(path, half)
    reader = Reader(path)

    assert reader.names() == ["bitcoin"]

    append(path, rest + f"\n{CARDANO}\n".encode())
    assert reader.names() == ["ethereum", "cardano"]


def test_half_a_header_waits_until_it_is_whole(tmp_path):
    path = write(tmp_path / "p.csv", "id,sym", end="")
    reader = Reader(path)
    assert reader.names() == []

    append(path, f"{HEADER[6:]}\n{BITCOIN}\n".encode())
    assert reader.names() == ["bitcoin"]


def test_a_whole_last_row_without_a_newline_is_read_once_the_file_has_settled(tmp_path):
    path = write(tmp_path / "p.csv", HEADER, BITCOIN, ETHER, end="")
    reader = Reader(path)

    assert reader.names() == ["bitcoin"]
    assert reader.names() == ["ethereum"]
    assert reader.names() == []

    append(path, f"\n{CARDANO}\n".encode())
    assert reader.names() == ["ethereum", "cardano"]
    assert reader.names() == []


def test_a_last_row_that_turns_out_to_have_been_half_is_read_again_in_full(tmp_path):
    path = write(
        tmp_path / "p.csv", "symbol,name,date,price_usd", "BTC,Bitcoin,2024-05-01,12", end=""
    )
    reader = Reader(path)
    reader.run()
    (half,) = reader.run()

    append(path, b"345.6\n")
    (whole,) = reader.run()

    assert (observe(half).price_usd, observe(whole).price_usd) == (12, Decimal("12345.6"))


def test_a_last_row_that_cannot_be_whole_never_becomes_a_reject_and_is_spoken_of(tmp_path):
    reader = Reader(write(tmp_path / "p.csv", HEADER, BITCOIN, "ethereum,ETH", end=""))

    assert reader.names() == ["bitcoin"]
    for _ in range(2):
        with pytest.raises(SourceError, match="line 3: its last row is not whole") as no:
            reader.names()
        assert no.value.code == "unfinished_row"


def test_an_emptied_file_is_refused_once_it_has_settled(tmp_path):
    path = write(tmp_path / "p.csv", HEADER, BITCOIN)
    reader = Reader(path)
    assert reader.names() == ["bitcoin"]
    path.write_bytes(b"")

    assert reader.names() == []
    for _ in range(2):
        with pytest.raises(SourceError, match="is empty"):
            reader.names()


def test_at_an_import_the_end_of_the_file_is_the_end_of_the_row(tmp_path):
    path = write(tmp_path / "p.csv", HEADER, BITCOIN, "ethereum,ETH", end="")

    assert [record.defect for record in load(path)] == [None, "2 cells under 5 headers"]


# Which files are read


def test_a_folder_and_a_glob_are_read_in_order_of_their_names(tmp_path):
    write(tmp_path / "b.csv", HEADER, ETHER)
    write(tmp_path / "a.CSV", HEADER, BITCOIN)
    write(tmp_path / "c.tsv", HEADER.replace(",", "\t"), CARDANO.replace(",", "\t"))
    write(tmp_path / "b.csv.toml", 'namespace = "b"')
    write(tmp_path / "notes.txt", "nothing")
    write(tmp_path / ".hidden.csv", "nothing")

    assert Reader(tmp_path).names() == ["bitcoin", "ethereum", "cardano"]
    assert Reader(tmp_path / "b*").names() == ["ethereum"]
    assert Reader(tmp_path / "a.CSV").names() == ["bitcoin"]


def test_a_new_file_beside_known_ones_is_read_alone_and_a_lost_one_forgotten(tmp_path):
    lost = write(tmp_path / "a.csv", HEADER, BITCOIN)
    reader = Reader(tmp_path)
    reader.run()

    write(tmp_path / "b.csv", HEADER, ETHER)
    assert reader.names() == ["ethereum"]

    lost.unlink()
    write(tmp_path / "c.csv", HEADER, CARDANO)
    assert reader.names() == ["cardano"]
    assert {Path(key).name for key in reader.cursor["files"]} == {"b.csv", "c.csv"}


def test_a_refused_file_fails_the_run_after_the_others_are_read(tmp_path):
    write(tmp_path / "a.csv", "symbol,name,date,price", "BTC,Bitcoin,2024-05-01,1")
    write(tmp_path / "b.csv", HEADER, ETHER)
    write(tmp_path / "c.csv", f"{HEADER},id", f"{ETHER},x")
    pages = CsvFiles(path=str(tmp_path), rows_per_page=2).pages(no_fetch, None, {})

    page = next(pages)
    assert page.records[0].document["row"]["id"] == "ethereum"

    with pytest.raises(SourceError) as caught:
        next(pages)
    assert caught.value.code == "undeclared"
    assert "2 of 3 files" in str(caught.value)
    assert "a.csv" in str(caught.value)
    assert "c.csv" in str(caught.value)


@pytest.mark.parametrize("path", ["nothing.csv", "*.csv", "."])
def test_a_path_without_files_fails_the_run(tmp_path, path):
    with pytest.raises(SourceError, match="CSV_PATH is ") as caught:
        Reader(tmp_path / path).run()

    assert caught.value.code == "no_file"


def test_a_file_that_cannot_be_opened_is_refused(tmp_path):
    assert refusal(tmp_path).code == "unreadable"
    assert refusal(tmp_path / "gone.csv").code == "unreadable"


def test_a_file_of_a_name_that_is_not_utf_8_can_be_read(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.csv"))
    write(path, HEADER, BITCOIN)

    (record,) = Reader(tmp_path).run()

    assert record.position == "caf\\xe9.csv, line 2"
