"""`GET /data/export`: everything in one file, from one moment, and its description beforehand."""

import gzip
import hashlib
import io
import itertools
import json
from base64 import b64encode
from datetime import timedelta

import pyarrow.parquet
import pytest
from sqlalchemy import delete, event, update

from shared.schema.market import asset_version, assets
from tests.fakes.api import add_asset, add_listing
from tests.fakes.exports import ADD_MANY, GZIP, MANY, begin, busy
from tests.fakes.reference import follow, plain


@pytest.fixture
def many(conn):
    conn.execute(ADD_MANY, {"many": MANY})


def digest(content):
    return f"sha-256=:{b64encode(hashlib.sha256(content).digest()).decode()}:"


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    "query",
    [
        {},
        {"sort": "-price_usd,name", "fields": "name,price_usd,slug"},
        {"q": "a", "min_price_usd": "100", "has": "price_usd", "symbol": "s1,s2"},
        {"source": "csv"},
        {"decimals": "string"},
    ],
)
def test_it_has_what_all_pages_have_in_their_order(client, query):
    pages = follow(client, page_size=1000, **query)

    lines = client.get("/data/export", query_string={"format": "ndjson", **query})
    table = client.get("/data/export", query_string={"format": "csv", **query})

    rows = [asset for page in pages for asset in page["data"]]
    assert [json.loads(line) for line in lines.text.splitlines()] == rows
    parts = [
        client.get("/data", query_string={"format": "csv", "page_size": 1000, **query, **cursor})
        for cursor in [{}, *({"cursor": page["meta"]["next_cursor"]} for page in pages[:-1])]
    ]
    header, _, _ = parts[0].text.partition("\r\n")
    assert table.text == f"{header}\r\n" + "".join(
        part.text.removeprefix(f"{header}\r\n") for part in parts
    )
    for answer in (lines, table):
        assert answer.headers["X-Total-Count"] == str(len(rows))
        assert answer.headers["X-Data-Version"] == str(pages[0]["meta"]["version"])


@pytest.mark.usefixtures("many")
def test_parquet_has_the_same_rows_and_every_digit(client, conn):
    conn.execute(update(assets).where(assets.c.slug == "a-7").values(price_usd="1E-40"))
    columns = "slug,name,price_usd,source_count,version,updated_at"
    query = {"fields": columns, "sort": "-price_usd"}
    lines = client.get(
        "/data/export", query_string={"format": "ndjson", "decimals": "string", **query}
    )

    answer = client.get("/data/export", query_string={"format": "parquet", **query}, headers=GZIP)

    content = answer.get_data()
    assert answer.content_type == "application/vnd.apache.parquet"
    assert "Content-Encoding" not in answer.headers  # it is compressed within
    assert answer.headers["Content-Length"] == str(len(content))
    assert answer.headers["Repr-Digest"] == digest(content)
    assert answer.headers["X-Total-Count"] == str(MANY)
    file = pyarrow.parquet.ParquetFile(io.BytesIO(content))
    assert file.num_row_groups == 3
    rows = file.read().to_pylist()
    assert [row["updated_at"].utcoffset() for row in rows[:1]] == [timedelta(0)]
    shown = [{**row, "updated_at": plain(row["updated_at"])} for row in rows]
    assert shown == [json.loads(line) for line in lines.text.splitlines()]


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("format_", ["csv", "ndjson"])
def test_its_headers_say_what_a_complete_file_is(client, format_):
    path = f"/data/export?format={format_}"
    plain, packed = client.get(path), client.get(path, headers=GZIP)

    for answer in (plain, packed):
        content = answer.get_data()
        assert answer.headers["Content-Length"] == str(len(content))
        assert answer.headers["Repr-Digest"] == digest(content)
        assert answer.headers["X-Total-Count"] == str(MANY)
        assert answer.headers["Content-Disposition"] == f'attachment; filename="assets.{format_}"'
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.get_data()) == plain.get_data()
    # A strong one tells of bytes, and those of the compressed file are others.
    assert plain.headers["ETag"].startswith('"')
    assert plain.headers["ETag"] != packed.headers["ETag"]
    again = client.get(path, headers=GZIP)
    assert again.get_data() == packed.get_data()


def test_it_begins_with_csv_and_takes_accept_and_no_paging(client, conn):
    add_asset(conn, "bitcoin")

    assert client.get("/data/export").content_type.startswith("text/csv;")
    ndjson = {"Accept": "application/x-ndjson"}
    assert client.get("/data/export", headers=ndjson).content_type == "application/x-ndjson"
    wanted = {"Accept": "application/json"}
    assert client.get("/data/export", headers=wanted).status_code == 406
    for query in ("page_size=1", "cursor=x", "page=1", "format=json", "format=xml"):
        assert client.get(f"/data/export?{query}").status_code == 400


def test_nothing_is_a_complete_file_too(client):
    table = client.get("/data/export?fields=slug,name")
    assert (table.text, table.headers["X-Total-Count"]) == ("slug,name\r\n", "0")
    assert table.headers["Repr-Digest"] == digest(table.get_data())

    lines = client.get("/data/export?format=ndjson")
    assert (lines.text, lines.headers["Content-Length"]) == ("", "0")
    assert lines.headers["Repr-Digest"] == digest(b"")


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("headers", [{}, GZIP])
def test_what_is_written_between_two_parts_of_a_file_is_not_in_it(client, conn, headers):
    path = "/data/export?format=ndjson"
    before = client.get(path, headers=headers).get_data()
    answer, first, rest = begin(client, path, headers=headers)
    assert len(first) < len(before) / 2

    conn.execute(
        update(assets).values(market_cap_usd=assets.c.id, version=asset_version.next_value())
    )
    conn.execute(delete(assets).where(assets.c.id % 2 == 0))
    add_asset(conn, "new", market_cap_usd=10**9)

    content = b"".join([first, *rest])
    answer.close()
    assert content == before
    assert answer.headers["Repr-Digest"] == digest(content)
    after = client.get(path)
    assert after.text.count("\n") == MANY / 2 + 1
    assert after.headers["Repr-Digest"] == digest(after.get_data())


@pytest.mark.usefixtures("many")
def test_what_is_written_between_its_description_and_its_sending_is_not_in_it(client, conn):
    before = client.get("/data/export?format=csv").get_data()
    add_asset(conn, "of another version", market_cap_usd=-1)  # so that it is described anew
    readings = []

    def write_before_the_second(_conn, _cursor, statement, *_):
        if "search_text" in statement or "FROM assets" in statement:
            readings.append(statement)
            if len(readings) == 2:
                conn.execute(delete(assets))

    engine = client.application.extensions["database"].engine
    event.listen(engine, "before_cursor_execute", write_before_the_second)
    answer = client.get("/data/export?format=csv")

    assert len(readings) == 2
    assert answer.get_data().startswith(before)
    assert answer.headers["Repr-Digest"] == digest(answer.get_data())
    assert client.get("/data").json["meta"]["total"] == 0


@pytest.mark.usefixtures("many")
def test_head_describes_the_file_without_sending_it(client):
    whole, head = client.get("/data/export"), client.head("/data/export")

    assert (head.status_code, head.get_data()) == (200, b"")
    for name in ("Content-Length", "Repr-Digest", "ETag", "X-Total-Count", "Content-Type"):
        assert head.headers[name] == whole.headers[name]
    assert busy(client) == 0


@pytest.mark.usefixtures("many")
def test_who_has_the_file_is_told_so_until_it_changes(client, conn):
    etag = {"If-None-Match": client.get("/data/export").headers["ETag"]}

    same = client.get("/data/export", headers=etag)
    assert (same.status_code, same.get_data()) == (304, b"")
    assert same.headers["ETag"] == etag["If-None-Match"]
    assert busy(client) == 0

    conn.execute(update(assets).where(assets.c.slug == "a-7").values(price_usd=1, version=10**6))
    assert client.get("/data/export", headers=etag).status_code == 200


@pytest.mark.usefixtures("many")
def test_the_same_data_is_described_once(client, conn):
    ran = []

    def note(_conn, _cursor, statement, *_):
        if "search_text" in statement or "FROM assets" in statement:
            ran.append(statement)

    event.listen(client.application.extensions["database"].engine, "before_cursor_execute", note)
    counts = []
    for change in (False, False, True, False):
        if change:
            add_asset(conn, "new")
        client.get("/data/export")
        counts.append(len(ran))

    each = [after - before for before, after in itertools.pairwise([0, *counts])]
    assert each == [2, 1, 2, 1]


def test_the_sources_of_an_asset_are_a_list_in_every_format(client, conn):
    asset = add_asset(conn, "listed")
    add_asset(conn, "unlisted")
    for source in ("coingecko", "csv"):
        add_listing(conn, asset, source, "listed")
    files = {
        format_: client.get(f"/data/export?fields=slug,sources&sort=slug&format={format_}").data
        for format_ in ("csv", "ndjson", "parquet")
    }
    [row, *_] = [line for line in files["ndjson"].splitlines() if b'"listed"' in line]
    table = pyarrow.parquet.read_table(io.BytesIO(files["parquet"])).to_pylist()

    assert json.loads(row)["sources"] == ["coingecko", "csv"]
    assert b'"listed","coingecko;csv"' in files["csv"]
    assert {"slug": "listed", "sources": ["coingecko", "csv"]} in table
