"""The formats of `/data`: which one an answer has, and that other programs read it."""

import csv
import gzip
import io
import json
import re

import pytest
from sqlalchemy import text

from api.queries.assets.columns import ASSET_COLUMNS
from tests.fakes.api import add_asset, add_run, api_on

JSON = "application/json"
CSV = "text/csv; charset=utf-8; header=present"
NDJSON = "application/x-ndjson"
OF_REQUEST = re.compile(rb'"(request_id|api_latency_ms)":("[^"]*"|[0-9.]+),')


def read_csv(answer):
    """Read the rows as a program does that knows RFC 4180 and no more."""
    content = answer.get_data().decode("utf-8")
    assert re.fullmatch(r'((("([^"]|"")*"|[^",\r\n]*)(,|\r\n))*)', content)
    return list(csv.reader(io.StringIO(content, newline=""), strict=True))


def test_accept_chooses_the_format(client):
    accepted = {
        None: JSON,
        "": JSON,
        "*/*": JSON,
        "text/csv": CSV,
        "TEXT/CSV": CSV,
        "text/*": CSV,
        "text/csv; charset=utf-8": CSV,
        NDJSON: NDJSON,
        "text/csv;q=0.4, application/x-ndjson;q=0.5": NDJSON,
        "text/csv;q=0.5, application/json;q=0.5": JSON,
        "application/json;q=0, */*": CSV,
        "application/json;q=0.1, */*;q=0.5": CSV,
        "text/html, application/xml;q=0.9, */*;q=0.8": JSON,
        "application/problem+json": JSON,
        "application/problem+json, text/csv;q=0.5": JSON,
    }

    found = {
        accept: client.get("/data", headers={"Accept": accept} if accept else {}).content_type
        for accept in accepted
    }

    assert found == accepted


def test_the_parameter_wins_over_accept(client):
    for name, media in (("json", JSON), ("csv", CSV), ("ndjson", NDJSON)):
        for accept in ("text/html", "text/csv", JSON):
            answer = client.get(f"/data?format={name}", headers={"Accept": accept})
            assert (answer.status_code, answer.content_type) == (200, media)

    unknown = client.get("/data?format=xml")
    assert unknown.status_code == 400
    assert unknown.json["errors"][0]["parameter"] == "format"


def test_answers_in_different_formats_are_told_apart(client, conn):
    add_asset(conn, "bitcoin")

    answers = [
        client.get("/data", headers={"Accept": accept}) for accept in (JSON, "text/csv", NDJSON)
    ]

    assert len({answer.headers["ETag"] for answer in answers}) == 3
    for answer in answers:
        assert {"Accept", "Accept-Encoding"} <= set(answer.headers["Vary"].split(", "))


NAMES = [
    'say "hi"',
    "one, two",
    "line\nbreak",
    "carriage\rreturn",
    "both\r\nof them",
    '"',
    '""\r\n"",',
    " padded ",
    "🪙 coin",
    "Ünï",
    "\u2028",
    "back\\slash",
    "a\tb",
    "NULL",
    "1e5",
    "007",
]


def test_csv_brings_every_name_to_a_program_as_it_is(client, conn):
    for number, name in enumerate(NAMES):
        add_asset(conn, f"asset-{number:02}", name=name)

    answer = client.get("/data?format=csv&sort=slug")

    header, *rows = read_csv(answer)
    assert header == list(ASSET_COLUMNS)
    assert [row[header.index("name")] for row in rows] == NAMES
    assert {len(row) for row in rows} == {len(header)}


FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\N{FULLWIDTH EQUALS SIGN}1",
    "\N{FULLWIDTH PLUS SIGN}1",
    "\N{FULLWIDTH HYPHEN-MINUS}1",
    "\N{FULLWIDTH COMMERCIAL AT}A",
    '=HYPERLINK("http://x","y")',
    "=cmd|' /C calc'!A0",
]


def test_csv_has_no_formula_for_a_spreadsheet_and_leaves_the_rest_alone(client, conn):
    plain = ["a=1", "1-2", "a@b", "🪙", "1+1"]
    for number, name in enumerate(FORMULAS + plain):
        add_asset(conn, f"asset-{number:02}", name=name, symbol=name, price_usd=-1)

    columns = "name,symbol,price_usd"
    answer = client.get(f"/data?format=csv&sort=slug&fields={columns}")

    _, *rows = read_csv(answer)
    safe = [f"'{name}" for name in FORMULAS] + plain
    assert rows == [[name, name, "-1"] for name in safe]


def test_other_formats_leave_a_formula_as_it_is(client, conn):
    add_asset(conn, "bitcoin", name="=1+1")

    assert client.get("/data").json["data"][0]["name"] == "=1+1"
    assert json.loads(client.get("/data?format=ndjson").text)["name"] == "=1+1"


def test_ndjson_is_a_document_on_each_line(client, conn):
    for number, name in enumerate(NAMES):
        add_asset(conn, f"asset-{number:02}", name=name)

    answer = client.get("/data?format=ndjson&sort=slug")

    body = answer.get_data()
    assert body.endswith(b"\n")
    assert b"\r" not in body
    documents = [json.loads(line) for line in body[:-1].split(b"\n")]
    assert [each["name"] for each in documents] == NAMES
    assert list(documents[0]) == list(ASSET_COLUMNS)
    assert documents == client.get("/data?sort=slug").json["data"]


def test_an_empty_list_is_empty_in_every_format(client):
    assert client.get("/data?format=ndjson").get_data() == b""
    assert client.get("/data?format=csv&fields=slug,name").get_data() == b"slug,name\r\n"
    assert client.get("/data?format=json").json["data"] == []


def test_lists_without_meta_have_what_it_says_in_headers(client, conn):
    add_run(conn, "coingecko", "failed")
    for number in range(3):
        add_asset(conn, f"asset-{number}")
    page = client.get("/data?page_size=2").json

    for name in ("csv", "ndjson"):
        answer = client.get(f"/data?page_size=2&format={name}")
        assert answer.headers["X-Total-Count"] == "3"
        assert answer.headers["X-Data-Version"] == str(page["meta"]["version"])
        assert answer.headers["X-Stale-Sources"] == "coingecko"
        [following] = [link for link in answer.headers.getlist("Link") if '"next"' in link]
        assert page["meta"]["next_cursor"] in following
        rest = client.get(following.partition(">")[0].strip("<"))
        assert rest.content_type == answer.content_type
        assert "asset-2" in rest.text


def test_decimals_as_strings_are_strings_and_nothing_else_is(client, conn):
    add_asset(conn, "bitcoin", price_usd="0.10", source_count=2)

    for query in ("/data?decimals=string", "/data?decimals=string&format=ndjson"):
        content = client.get(query).text
        assert '"price_usd":"0.10"' in content
        assert '"source_count":2' in content
        assert '"market_cap_usd":null' in content
    assert '"price_usd":0.10,' in client.get("/data?decimals=number").text
    assert client.get("/data?format=csv&fields=price_usd&decimals=string").text.endswith("0.10\r\n")


def settle(body):
    """Take out what differs from one request to the next."""
    return OF_REQUEST.sub(b"", body)


@pytest.mark.parametrize("query", ["", "&format=csv", "&format=ndjson"])
def test_compressed_answers_hold_the_same(client, conn, query):
    conn.execute(
        text(
            "INSERT INTO assets (slug, symbol, name) "
            "SELECT 'a-' || n, 'S', repeat('x🪙', 50) || n FROM generate_series(1, 100) AS n"
        )
    )
    url = f"/data?page_size=100{query}"
    plain = client.get(url)

    for _ in range(2):  # made, and kept
        packed = client.get(url, headers={"Accept-Encoding": "br, gzip"})
        assert packed.headers["Content-Encoding"] == "gzip"
        assert len(packed.get_data()) < len(plain.get_data()) / 5
        assert settle(gzip.decompress(packed.get_data())) == settle(plain.get_data())
        assert int(packed.headers["Content-Length"]) == len(packed.get_data())
        assert packed.headers["ETag"] == plain.headers["ETag"]
        assert packed.content_type == plain.content_type

    head = client.head(url, headers={"Accept-Encoding": "gzip"})
    assert head.get_data() == b""
    assert head.headers["Content-Encoding"] == "gzip"
    # The length of an answer in JSON varies with the time that it took.
    assert abs(int(head.headers["Content-Length"]) - len(packed.get_data())) < 20


@pytest.mark.parametrize("accepted", ["", "identity", "gzip;q=0", "br", "*;q=0, identity"])
def test_who_does_not_take_gzip_gets_none(client, conn, accepted):
    add_asset(conn, "bitcoin", name="x" * 3000)

    answer = client.get("/data", headers={"Accept-Encoding": accepted})

    assert "Content-Encoding" not in answer.headers
    assert answer.json["data"][0]["name"] == "x" * 3000


def test_a_small_answer_is_not_compressed(client, conn):
    add_asset(conn, "bitcoin")

    answer = client.get("/data", headers={"Accept-Encoding": "gzip"})

    assert "Content-Encoding" not in answer.headers


def test_a_byte_order_mark_is_there_for_excel_alone(reader_url, conn):
    add_asset(conn, "cafe", name="Café 🪙")
    with api_on(reader_url) as client:
        for path in ("/data?format=csv&fields=name", "/data/export?format=csv&fields=name"):
            plain, marked = client.get(path).data, client.get(f"{path}&bom=true").data
            assert plain == 'name\r\n"Café 🪙"\r\n'.encode()
            assert marked == b"\xef\xbb\xbf" + plain
        assert client.get("/data?bom=true").json["data"][0]["slug"] == "cafe"
