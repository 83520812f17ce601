"""`/metrics` of the API itself: requests, the database and the cache."""

from sqlalchemy import text

from api.database.pool import read
from api.request.access import note_cache
from tests.fakes.api import add_asset, api_on
from tests.fakes.metrics import of, scrape


def test_requests_are_counted_by_route_method_and_status(client, engine):
    with engine.begin() as conn:
        add_asset(conn, "bitcoin")
    for _ in range(3):
        client.get("/data/bitcoin")
    client.get("/data/nothing")
    client.get("/data?nonsense=1")
    client.post("/data")
    head = client.head("/data/bitcoin")
    for path in ("/nowhere", "/nowhere/else", "/x" * 50):
        client.get(path)
    client.open("/data", method="BREW")

    found = scrape(client)

    total = "kasparro_http_requests_total"
    asset = {"route": "/data/<asset>"}
    assert of(found, total, **asset, method="GET", status="200") == 3
    assert of(found, total, **asset, method="HEAD", status="200") == 1
    assert of(found, total, **asset, method="GET", status="404") == 1
    assert of(found, total, route="/data", method="GET", status="400") == 1
    assert of(found, total, route="unmatched", method="POST", status="405") == 1
    assert of(found, total, route="unmatched", method="GET", status="404") == 3
    assert of(found, total, route="unmatched", method="other", status="405") == 1
    assert of(found, "kasparro_http_request_duration_seconds_count", **asset) == 5
    seconds = of(found, "kasparro_http_request_duration_seconds_sum", **asset)
    assert 0 < seconds < 60
    assert head.content_length > 0
    sizes = [client.get("/data/nothing").content_length for _ in range(2)]
    more = scrape(client)
    bytes_ = "kasparro_http_response_bytes_total"
    assert of(more, bytes_, **asset) - of(found, bytes_, **asset) == sum(sizes)
    assert {label for _, *labels in found for name, label in labels if name == "route"} == {
        "/data",
        "/data/<asset>",
        "unmatched",
    }


def test_the_scrape_alone_is_in_progress(client):
    client.get("/data")
    client.get("/nowhere")

    assert of(scrape(client), "kasparro_http_requests_in_progress") == 1


def test_an_answer_that_breaks_is_counted_as_one(client):
    def broken():
        raise ZeroDivisionError

    client.application.add_url_rule("/broken", view_func=broken)
    client.get("/broken")

    found = scrape(client)
    counted = {"route": "/broken", "method": "GET", "status": "500"}
    assert of(found, "kasparro_http_requests_total", **counted) == 1
    assert of(found, "kasparro_http_requests_in_progress") == 1


def test_a_streamed_answer_is_counted_once_it_is_sent(client, caplog):
    caplog.set_level("INFO")

    def streamed():
        return client.application.response_class(iter([b"abc"] * 1000))

    client.application.add_url_rule("/streamed", view_func=streamed)
    answer = client.get("/streamed", buffered=False)
    assert of(scrape(client), "kasparro_http_requests_in_progress") == 2
    assert answer.data == b"abc" * 1000
    answer.close()

    found = scrape(client)
    assert of(found, "kasparro_http_response_bytes_total", route="/streamed") == 3000
    assert of(found, "kasparro_http_requests_in_progress") == 1
    [line] = [record for record in caplog.records if getattr(record, "route", 0) == "/streamed"]
    assert line.bytes == 3000


def test_the_database_is_timed_and_its_connections_are_counted(client):
    before = scrape(client)
    with client.application.app_context(), read() as conn:
        conn.execute(text("SELECT 1"))
        during = scrape(client)
    after = scrape(client)

    queries = "kasparro_database_query_duration_seconds_count"
    waits = "kasparro_database_connection_wait_seconds_count"
    assert of(during, queries) > of(before, queries)
    assert of(during, waits) > of(before, waits)
    in_use = [
        of(found, "kasparro_database_connections_in_use") for found in (before, during, after)
    ]
    assert in_use == [0, 1, 0]


def test_what_the_database_fails_is_counted_by_code(client):
    def slow():
        with read() as conn:
            conn.execute(text("SET statement_timeout = '50ms'"))
            conn.execute(text("SELECT pg_sleep(60)"))

    client.application.add_url_rule("/slow", view_func=slow)
    assert client.get("/slow").status_code == 503

    found = scrape(client)
    failures = "kasparro_database_failures_total"
    assert of(found, failures, code="query_timeout") == 1
    assert of(found, failures, code="database_unavailable") == 0


def test_answers_out_of_the_cache_are_counted_named_and_logged(client, caplog):
    caplog.set_level("INFO")

    def cached(hit):
        note_cache(hit=hit == "yes")
        return "x"

    client.application.add_url_rule("/cached/<hit>", view_func=cached)
    hits = [client.get("/cached/yes") for _ in range(2)]
    miss = client.get("/cached/no")

    found = scrape(client)
    name, route = "kasparro_cache_answers_total", "/cached/<hit>"
    assert of(found, name, route=route, result="hit") == 2
    assert of(found, name, route=route, result="miss") == 1
    assert "cache;desc=hit" in hits[0].headers["Server-Timing"]
    assert "cache;desc=miss" in miss.headers["Server-Timing"]
    logged = [record.cache for record in caplog.records if getattr(record, "route", 0) == route]
    assert logged == ["hit", "hit", "miss"]


def test_two_applications_in_one_process_count_apart(reader_url):
    with api_on(reader_url) as one, api_on(reader_url) as other:
        one.get("/data")
        counted = {"route": "/data", "method": "GET", "status": "200"}
        assert of(scrape(one), "kasparro_http_requests_total", **counted) == 1
        assert of(scrape(other), "kasparro_http_requests_total", **counted) is None
