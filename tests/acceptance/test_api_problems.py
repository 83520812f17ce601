"""Every kind of problem as the real server sends it: JSON with a known code, HTML never."""

import re

import pytest
import requests
from sqlalchemy import text

from api.request.codes import CODES
from tests.fakes.gunicorn import GIVE_UP, PROJECT, serving

A_DIFFERENCE = """
    INSERT INTO drift (source, path, kind, detail, first_run_id, last_run_id, records)
    VALUES ('csv', '$', 'unknown_field', '{}', 1, 1, 1)
"""


def check(answer, status, code):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "<" not in answer.text
    problem = answer.json()
    assert problem["code"] == code
    assert problem["status"] == CODES[code].status == status
    assert problem["request_id"] == answer.headers["X-Request-Id"]


@pytest.fixture
def gunicorn(reader_url, tmp_path):
    with serving(reader_url, tmp_path) as gunicorn:
        yield gunicorn


def test_what_a_request_does_wrong(shared_gunicorn):
    check(shared_gunicorn.get("/data?symbl=BTC"), 400, "invalid_parameter")
    check(shared_gunicorn.get("/nowhere"), 404, "not_found")
    check(shared_gunicorn.get("/docs/nothing"), 404, "not_found")
    check(shared_gunicorn.get("/data/nothing"), 404, "asset_not_found")
    check(shared_gunicorn.get("/runs/7"), 404, "run_not_found")
    check(shared_gunicorn.get("/stats", headers={"Accept": "text/html"}), 406, "not_acceptable")
    check(shared_gunicorn.get("/data", headers={"Accept": "image/png"}), 406, "not_acceptable")
    check(shared_gunicorn.get(f"/data?q={'a' * 9000}"), 414, "request_uri_too_long")
    check(
        shared_gunicorn.get("/data", headers={"X-Long": "a" * 9000}),
        431,
        "request_header_fields_too_large",
    )
    check(shared_gunicorn.get("/data", headers={"X-API-Key": "guessed"}), 401, "api_key_unknown")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_a_method_that_is_not_for_reading(shared_gunicorn, method):
    for path in ("/data", "/data/bitcoin", "/docs", "/docs/docs.js", "/openapi.json"):
        answer = requests.request(method, shared_gunicorn.url + path, timeout=GIVE_UP)
        check(answer, 405, "method_not_allowed")
        assert {*answer.headers["Allow"].split(", ")} == {"GET", "HEAD"}


def test_too_many_requests(reader_url, tmp_path):
    with serving(reader_url, tmp_path, API_RATE_LIMIT="2/minute") as gunicorn:
        answers = [gunicorn.get("/openapi.json") for _ in range(3)]

    check(answers[-1], 429, "rate_limited")
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60


def test_an_error_of_the_server(engine, gunicorn):
    with engine.begin() as conn:
        conn.execute(text(A_DIFFERENCE))
        conn.execute(text("ALTER TABLE drift ALTER records TYPE text USING 'many'"))

    check(gunicorn.get("/drift"), 500, "internal_server_error")


def test_a_database_that_is_away(reader_url, tmp_path):
    with serving(reader_url.set(database="nowhere"), tmp_path) as gunicorn:
        for path in ("/data", "/data/export", "/runs", "/health"):
            answer = gunicorn.get(path)
            check(answer, 503, "database_unavailable")
            assert answer.headers["Retry-After"] == "1"


def test_the_guide_lists_every_code_with_its_status():
    guide = (PROJECT / "api" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d{3}) \|", guide, re.MULTILINE)

    assert {name: int(status) for name, status in rows} == {
        name: code.status for name, code in CODES.items()
    }
