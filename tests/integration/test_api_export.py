"""`GET /data/export`: everything in one file, from one moment, and its description beforehand."""

import gzip
import hashlib
import io
import itertools
import json
import re
from base64 import b64encode
from datetime import timedelta

import pyarrow.parquet
import pytest
from sqlalchemy import delete, event, text, update
from werkzeug.exceptions import ServiceUnavailable

from api.export import Exports
from shared.tables import asset_version, assets
from tests.fakes.api import add_asset
from tests.fakes.gunicorn import until
from tests.fakes.reference import follow, plain

GZIP = {"Accept-Encoding": "gzip"}
MANY = 2500
"""More than are fetched at once."""

# Labels that do not shrink much, so that a compressed file has more than one part as well.
ADD_MANY = text(
    "INSERT INTO assets (slug, symbol, name, price_usd, market_cap_usd) "
    "SELECT 'a-' || n, 'S' || n % 7, md5(n::text) || E'\\r\\n=\"x\"', "
    "       CASE WHEN n % 3 > 0 THEN n / 7.0 END, n % 100 FROM generate_series(1, :many) AS n"
)


@pytest.fixture
def many(conn):
    conn.execute(ADD_MANY, {"many": MANY})


def begin(client, path="/data/export?format=ndjson", **options):
    """Ask for an export, and take its first part alone."""
    answer = client.get(path, buffered=False, **options)
    assert answer.status_code == 200
    parts = answer.iter_encoded()
    return answer, next(parts), parts


def digest(content):
    return f"sha-256=:{b64encode(hashlib.sha256(content).digest()).decode()}:"


def busy(client):
    return client.application.extensions["database"].engine.pool.checkedout()


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


@pytest.mark.usefixtures("many")
def test_there_are_only_so_many_at_once(client):
    begun = [begin(client, environ_base={"REMOTE_ADDR": f"192.0.2.{n}"}) for n in range(2)]
    one, two = (answer for answer, *_ in begun)

    for ask in (client.get, client.head):
        refused = ask("/data/export")
        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "5"
    refused = client.get("/data/export").json
    assert refused["code"] == "exports_busy"
    assert "as many exports as this server sends" in refused["detail"]
    assert client.get("/data").status_code == 200  # for which there are connections left

    one.close()
    assert client.get("/data/export").status_code == 200
    two.close()
    assert busy(client) == 0


@pytest.mark.usefixtures("many")
def test_a_client_has_one_at_once_and_leaves_the_other_place_to_others(client):
    answer, *_ = begin(client)

    refused = client.get("/data/export")
    other = client.get("/data/export", environ_base={"REMOTE_ADDR": "192.0.2.1"})

    assert (refused.status_code, refused.json["code"]) == (503, "exports_busy")
    assert refused.headers["Retry-After"] == "5"
    assert "of yours" in refused.json["detail"]
    assert other.status_code == 200
    answer.close()
    assert client.get("/data/export").status_code == 200


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("headers", [{}, GZIP])
def test_who_has_the_whole_file_may_ask_for_another_at_once(client, headers):
    answer, content, rest = begin(client, headers=headers)
    while len(content) < int(answer.headers["Content-Length"]):
        content += next(rest)

    assert client.get("/data/export").status_code == 200  # and nobody has closed the first
    answer.close()


@pytest.mark.usefixtures("many")
def test_one_that_takes_too_long_to_describe_is_a_problem(client):
    client.application.extensions["exports"] = Exports(longest=0.0)

    refused = client.get("/data/export")

    assert (refused.status_code, refused.json["code"]) == (503, "query_timeout")
    assert refused.headers["Retry-After"] == "5"
    assert busy(client) == 0


@pytest.mark.usefixtures("many")
def test_the_database_is_timed_and_its_connection_counted_until_the_file_is_sent(client, caplog):
    def held():
        [found] = re.findall(r"^kasparro_database_connections_in_use (.*)$", scrape(), re.MULTILINE)
        return float(found)

    def scrape():
        return client.get("/metrics").text

    caplog.set_level("INFO")
    answer, _, rest = begin(client)
    during = held()
    assert len(list(rest)) > 0
    answer.close()

    assert (during, held()) == (1, 0)
    [line] = [each for each in caplog.records if getattr(each, "route", 0) == "/data/export"]
    assert 0 < line.db_ms <= line.ms


@pytest.mark.usefixtures("many")
def test_a_client_that_leaves_gives_its_place_and_a_clean_connection_back(client, conn):
    for _ in range(5):
        answer, *_ = begin(client)
        answer.close()
        unread = client.get("/data/export", buffered=False)
        assert unread.status_code == 200
        unread.close()

    assert busy(client) == 0
    states = text(
        "SELECT DISTINCT state FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'kasparro-api'"
    )
    until(lambda: conn.scalars(states).all() == ["idle"])
    with client.application.extensions["database"].connect() as own:
        assert own.connection.dbapi_connection.autocommit
        assert own.exec_driver_sql("SHOW transaction_isolation").scalar() == "read committed"
        assert own.exec_driver_sql("SHOW transaction_read_only").scalar() == "on"
        first = own.exec_driver_sql("SELECT now()").scalar()
        assert own.exec_driver_sql("SELECT now()").scalar() > first  # no transaction is open


@pytest.mark.usefixtures("many")
def test_a_file_that_cannot_be_finished_is_not_ended_as_if_it_were(client, conn):
    answer, first, rest = begin(client)
    conn.execute(
        text(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'kasparro-api'"
        )
    )

    with pytest.raises(ServiceUnavailable):
        list(rest)
    answer.close()
    failures = 'kasparro_database_failures_total{code="database_unavailable"} 1.0'
    assert failures in client.get("/metrics").text

    assert len(first) < int(answer.headers["Content-Length"])
    assert busy(client) == 0
    until(lambda: client.get("/data/export").status_code == 200)


def test_a_file_that_cannot_be_begun_is_a_problem(client, conn):
    add_asset(conn, "bitcoin")
    conn.execute(text("ALTER TABLE assets RENAME TO gone"))

    answer = client.get("/data/export")

    assert (answer.status_code, answer.json["code"]) == (503, "schema_not_ready")
    assert busy(client) == 0
