"""What holds for every route: read-only, documented, answered as documented; errors as problems."""

import re

import pytest
from openapi_spec_validator import validate
from sqlalchemy import insert, text
from sqlalchemy.exc import InternalError, ProgrammingError

from api.db import Database, read
from shared.records import VALUES
from shared.tables import assets, rejects, runs
from tests.fakes.api import (
    NOON,
    add_asset,
    add_checkpoint,
    add_listing,
    add_observation,
    add_raw_record,
    add_run,
    api_on,
    take_values_from,
)
from tests.fakes.document import (
    check_answer,
    example_url,
    examples_of,
    parameters_of,
    read_document,
    validate_value,
)

DOCUMENT = read_document()
PATHS = tuple(DOCUMENT["paths"])
URLS = tuple(example_url(DOCUMENT, path) for path in PATHS)
OF_LISTINGS = ("/data/{asset}/raw", "/data/{asset}/history")
STATIC_FILES = "docs.static"
NAMES = (
    "data_asset",
    "data_assets",
    "health_health",
    "health_live",
    "health_ready",
    "index_index",
    "index_openapi",
    "stats_stats",
)
"""Names of operations, which generated clients use, as they were released."""

OUR_OWN = ("cursor",)
"""Parameters whose values a client cannot make up."""


@pytest.fixture
def market(engine):
    """An asset with everything that can be known of it, one with nothing, and runs."""
    with engine.begin() as conn:
        add_asset(conn, "unknown")
        asset = add_asset(conn, "bitcoin", observed_at=NOON, **dict.fromkeys(VALUES, 1))
        raw = {"payload_hash": add_raw_record(conn, "csv", "a", '{"row": {"id": "a"}}')}
        listing = add_listing(conn, asset, "csv", "a", **raw, **dict.fromkeys(VALUES, 1))
        take_values_from(conn, asset, **dict.fromkeys(VALUES, listing))
        add_observation(conn, listing, observed_at=NOON, **raw, **dict.fromkeys(VALUES, 1))
        run = add_run(conn)
        add_run(conn, outcome="running")
        conn.execute(
            insert(rejects).values(
                source="csv",
                position="line 7",
                reasons=["price: negative: -1"],
                payload=b"x,-1",
                payload_hash=b"x" * 16,
                first_run_id=run,
                last_run_id=run,
            )
        )
        add_checkpoint(conn, run, cursor={"page": 2}, last_success_at=NOON, last_failure_at=NOON)


def test_every_route_only_reads(client):
    for rule in client.application.url_map.iter_rules():
        assert rule.methods == {"GET", "HEAD"}, rule


def test_every_route_is_described(client):
    document = client.get("/openapi.json").json
    routes = {
        re.sub("<(?:.*?:)?(.*?)>", r"{\1}", rule.rule)
        for rule in client.application.url_map.iter_rules()
        if rule.endpoint != STATIC_FILES
    }

    assert document == DOCUMENT
    assert set(document["paths"]) == routes
    assert [route["path"] for route in client.get("/").json["data"]] == sorted(routes)


def test_the_description_is_valid_openapi(client):
    validate(client.get("/openapi.json").json)


def test_every_operation_parameter_answer_and_problem_has_an_example_that_is_valid():
    examples = list(examples_of(DOCUMENT))

    assert examples
    for where, schema, value in examples:
        assert value not in ("", {}, None), where
        validate_value(DOCUMENT, schema, value)


def test_every_text_of_an_answer_has_an_example_of_its_own():
    silent = [
        f"{name}.{member}"
        for name, schema in DOCUMENT["components"]["schemas"].items()
        for member, of in schema["properties"].items()
        if of.get("type") == "string" and not {"examples", "enum", "format"} & {*of}
    ]

    assert silent == []


def test_operations_keep_their_names():
    names = [path["get"]["operationId"] for path in DOCUMENT["paths"].values()]

    assert len(names) == len({*names})
    assert {*NAMES} <= {*names}


def test_every_operation_belongs_to_a_resource_that_is_described():
    described = {tag["name"]: tag["description"] for tag in DOCUMENT["tags"]}

    for path in DOCUMENT["paths"].values():
        [tag] = path["get"]["tags"]
        assert described[tag]


def test_keys_are_described_as_welcome_and_as_required_where_they_are(reader_url):
    with api_on(reader_url, API_KEYS_REQUIRED="true") as client:
        required = client.get("/openapi.json").json

    for path, scope in (("/data", "data"), ("/data/export", "export"), ("/runs", "operations")):
        keys = [{"bearer": [scope]}, {"header": [scope]}]
        assert DOCUMENT["paths"][path]["get"]["security"] == [{}, *keys]
        assert required["paths"][path]["get"]["security"] == keys
    assert "security" not in required["paths"]["/health/live"]["get"]
    assert "401" not in required["paths"]["/health/live"]["get"]["responses"]


@pytest.mark.usefixtures("market")
@pytest.mark.parametrize("path", PATHS)
def test_every_answer_is_as_described(client, path):
    response = client.get(example_url(DOCUMENT, path))
    assert response.status_code == 200
    check_answer(DOCUMENT, path, response)

    refused = client.get(example_url(DOCUMENT, path, nonsense=1))
    assert refused.status_code == 400
    assert refused.json["code"] == "invalid_parameter"
    assert refused.json["errors"][0]["parameter"] == "nonsense"
    check_answer(DOCUMENT, path, refused)


@pytest.mark.usefixtures("market")
@pytest.mark.parametrize("path", PATHS)
def test_every_documented_parameter_and_choice_is_taken(client, path):
    for parameter in parameters_of(DOCUMENT, path):
        name, schema = parameter["name"], parameter["schema"]
        if parameter["in"] != "query" or name in OUR_OWN:
            continue
        for value in [*schema["examples"], *schema.get("enum", [])]:
            text = ",".join(value) if isinstance(value, list) else str(value)
            response = client.get(example_url(DOCUMENT, path, **{name: text}))
            if path in OF_LISTINGS and response.status_code == 404:
                # taken, and nothing is found by it
                assert response.json["code"] in {"raw_not_found", "listing_not_found"}
                continue
            assert response.status_code == 200, (name, text, response.text)
            check_answer(DOCUMENT, path, response)


def test_an_answer_without_anything_loaded_is_as_described(client):
    for path in PATHS:
        check_answer(DOCUMENT, path, client.get(example_url(DOCUMENT, path)))


def test_an_answer_without_a_database_is_as_described(reader_url):
    with api_on(reader_url.set(database="nowhere")) as client:
        for path in PATHS:
            response = client.get(example_url(DOCUMENT, path))
            check_answer(DOCUMENT, path, response)
            if response.status_code == 503:
                assert response.headers["Retry-After"] == "1"
                assert response.json["code"] == "database_unavailable"


@pytest.mark.usefixtures("market")
@pytest.mark.parametrize("path", PATHS)
def test_a_format_that_a_route_does_not_have_is_refused(client, path):
    url = example_url(DOCUMENT, path)
    available = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]

    refused = client.get(url, headers={"Accept": "image/png, text/*;q=0"})
    assert refused.status_code == 406
    assert refused.json["code"] == "not_acceptable"
    assert next(iter(available)) in refused.json["detail"]
    check_answer(DOCUMENT, path, refused)
    for media in available:
        answer = client.get(url, headers={"Accept": f"image/png, {media};charset=utf-8"})
        assert (answer.status_code, answer.mimetype) == (200, media)
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    assert client.get(url, headers={"Accept": browser}).status_code == 200


@pytest.mark.usefixtures("market")
@pytest.mark.parametrize("path", [*URLS, "/nowhere", "/data/nothing", "/data?page=0"])
def test_head_is_get_without_the_body(client, path):
    get, head = client.get(path), client.head(path)

    assert head.status_code == get.status_code
    assert head.data == b""
    changing = {"X-Request-Id", "Content-Length", "Server-Timing", "traceparent"}
    assert {name: value for name, value in head.headers if name not in changing} == {
        name: value for name, value in get.headers if name not in changing
    }
    assert int(head.headers["Content-Length"]) > 0


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_no_other_method_is_allowed(client, method):
    for path in URLS:
        response = client.open(path, method=method)

        assert response.status_code == 405
        assert response.content_type == "application/problem+json"
        assert response.json["code"] == "method_not_allowed"
        assert {*response.headers["Allow"].split(", ")} == {"GET", "HEAD"}


@pytest.mark.parametrize(
    "path", ["/nowhere", "/data/", "/data//", "//", "/data/a/b", "/health/", "/favicon.ico", "/%00"]
)
def test_an_unknown_path_is_a_problem_and_no_redirect(client, path):
    response = client.get(path, base_url="http://localhost")

    assert response.status_code == 404
    assert response.content_type == "application/problem+json"
    assert response.json["code"] == "not_found"


def test_a_problem_names_itself(client):
    response = client.get("/nowhere", headers={"X-Request-Id": "abc-1"})

    assert response.json == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "no route at '/nowhere'; '/' lists them",
        "code": "not_found",
        "request_id": "abc-1",
    }


def test_an_error_of_ours_is_a_problem_without_its_inside(client, caplog):
    def broken():
        raise ZeroDivisionError("secret")

    client.application.add_url_rule("/broken", view_func=broken)
    response = client.get("/broken")

    assert response.status_code == 500
    assert response.content_type == "application/problem+json"
    assert response.json["code"] == "internal_server_error"
    assert "secret" not in response.text
    assert "secret" in caplog.text


def test_a_statement_of_ours_that_postgres_refuses_is_a_problem(client):
    def broken():
        with read() as conn:
            conn.execute(text("SELECT 1/0"))

    client.application.add_url_rule("/broken", view_func=broken)

    assert client.get("/broken").status_code == 500


def test_a_query_that_takes_too_long_is_cancelled_and_said_so(client):
    def slow():
        with read() as conn:
            conn.execute(text("SET statement_timeout = '50ms'"))
            conn.execute(text("SELECT pg_sleep(60)"))

    client.application.add_url_rule("/slow", view_func=slow)
    response = client.get("/slow")

    assert response.status_code == 503
    assert response.json["code"] == "query_timeout"
    assert "Retry-After" in response.headers


def test_a_query_that_the_server_never_ends_is_broken_off(reader_url):
    def endless():
        with read() as conn:
            conn.execute(text("SET statement_timeout = 0"))
            conn.execute(text("SELECT pg_sleep(600)"))

    with api_on(reader_url) as client:
        client.application.extensions["database"].close()
        database = Database(lambda: reader_url, patience=0.1)
        client.application.extensions["database"] = database
        client.application.add_url_rule("/endless", view_func=endless)
        response = client.get("/endless")
        assert response.status_code == 503
        assert response.json["code"] == "database_unavailable"
        assert client.get("/data").status_code == 200


@pytest.mark.parametrize("given", ["abc-1", "4bf92f3577b34da6a3ce929d0e0e4736", "a/b:c.d_e@f=g+h"])
def test_a_callers_request_id_is_kept(client, given):
    response = client.get("/health/live", headers={"X-Request-Id": given})

    assert response.headers["X-Request-Id"] == given
    assert response.json["meta"]["request_id"] == given


@pytest.mark.parametrize("given", ["", "a b", "ü", '"', "a" * 129, "<script>", None])
def test_another_request_id_is_replaced(client, given):
    headers = {"X-Request-Id": given} if given is not None else {}

    response = client.get("/health/live", headers=headers)

    assert re.fullmatch("[0-9a-f]{32}", response.headers["X-Request-Id"])


@pytest.mark.usefixtures("market")
def test_every_request_is_logged_with_its_id_and_rows(client, caplog):
    caplog.set_level("INFO")

    client.get("/data?q=x", headers={"X-Request-Id": "abc-1"})
    client.get("/data")
    client.get("/data/bitcoin")
    client.get("/nowhere")

    lines = [record for record in caplog.records if record.name == "api.access"]
    assert [(line.route, line.status, line.rows) for line in lines] == [
        ("/data", 200, 0),
        ("/data", 200, 2),
        ("/data/<asset>", 200, 1),
        (None, 404, 0),
    ]
    assert all(line.ms > 0 and line.bytes > 0 and line.client for line in lines)


def test_answers_are_not_sniffed_framed_or_kept(client):
    for path in ("/stats", "/nowhere"):
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["Cache-Control"] == "no-store"


def test_forwarded_headers_change_nothing(client):
    forged = {
        "X-Forwarded-Host": "evil.test",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/evil",
        "X-Forwarded-For": "10.0.0.1",
        "Forwarded": "for=10.0.0.1;host=evil.test",
    }

    response = client.get("/data", headers=forged)

    assert response.headers["Link"] == '</data>; rel="first"'
    assert "evil" not in response.text


WRITES = [
    insert(assets).values(slug="x", symbol="X", name="X"),
    runs.delete(),
    text("TRUNCATE assets"),
    text("CREATE TABLE stolen (a integer)"),
    text("SELECT nextval('asset_version')"),
]


@pytest.mark.parametrize("statement", WRITES, ids=str)
def test_the_api_cannot_write_even_when_it_is_given_the_owners_login(database_url, statement):
    with api_on(database_url) as client:
        engine = client.application.extensions["database"].engine
        with engine.connect() as conn, pytest.raises(InternalError, match="read-only transaction"):
            conn.execute(statement)


@pytest.mark.parametrize("statement", WRITES, ids=str)
def test_the_apis_role_cannot_write_even_in_a_transaction_that_may(client, statement):
    engine = client.application.extensions["database"].engine
    with engine.connect() as conn:
        conn.execute(text("SET default_transaction_read_only = off"))
        with pytest.raises(ProgrammingError, match="permission denied"):
            conn.execute(statement)
        conn.invalidate()


def test_the_apis_role_may_read_every_table(client, engine):
    reader = client.application.extensions["database"].engine
    with engine.connect() as owner:
        tables = owner.scalars(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ).all()
    with reader.connect() as conn:
        for table in tables:
            conn.exec_driver_sql(f"SELECT * FROM {table} LIMIT 1")
    assert "alembic_version" in tables
