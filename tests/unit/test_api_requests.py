"""Requests that no route answers, errors of ours, and ids of requests."""

import re

import pytest

from tests.fakes.api import NOWHERE, api_on
from tests.fakes.document import example_url, read_document

DOCUMENT = read_document()
PATHS = tuple(DOCUMENT["paths"])
URLS = tuple(example_url(DOCUMENT, path) for path in PATHS)


@pytest.fixture
def client():
    """A client of the API without a database."""
    with api_on(NOWHERE) as client:
        yield client


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
        "detail": "no route has the path '/nowhere'; '/' lists the routes",
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
