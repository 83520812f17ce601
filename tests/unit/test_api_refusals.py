"""Parameters and formats that the API refuses before it asks its database."""

import pytest

from tests.fakes.api import NOWHERE, api_on


@pytest.fixture(scope="module")
def client():
    """A client of the API without a database."""
    with api_on(NOWHERE) as client:
        yield client


@pytest.mark.parametrize("query", ["state=resolved", "source=x", "kind=renamed", "cursor=x"])
def test_a_parameter_of_drift_that_cannot_be_used_is_named(client, query):
    assert parameter_refused(client, f"/drift?{query}") == query.partition("=")[0]


@pytest.mark.parametrize(
    "query", ["state=closed", "source=x", "reason=", "run_id=x", "page_size=201", "cursor=x"]
)
def test_a_parameter_of_rejects_that_cannot_be_used_is_named(client, query):
    assert parameter_refused(client, f"/rejects?{query}") == query.partition("=")[0]


def parameter_refused(client, path):
    """Return the parameter that a refusal names first."""
    response = client.get(path)
    assert response.status_code == 400
    return response.json["errors"][0]["parameter"]


@pytest.mark.parametrize(
    ("path", "parameter", "most"),
    [
        ("/data?", "page_size", 1000),
        ("/changes?", "page_size", 1000),
        ("/data/bitcoin/history?", "page_size", 1000),
        ("/runs?", "page_size", 200),
        ("/rejects?", "page_size", 200),
        ("/rejects/reasons?", "limit", 200),
        ("/drift?", "page_size", 200),
        ("/reviews?", "page_size", 200),
        ("/runs/anomalies?", "limit", 1000),
        ("/runs/compare?a=1&b=2&", "limit", 100),
    ],
)
def test_a_list_has_a_largest_size(client, path, parameter, most):
    assert parameter_refused(client, f"{path}{parameter}={most + 1}") == parameter
    without_database = client.get(f"{path}{parameter}={most}")
    assert without_database.status_code == 503


def test_has_of_what_is_always_known_is_refused_with_a_suggestion(client):
    assert "did you mean 'price_usd'" in reason_of(client, has="price_us")
    assert "slug" in reason_of(client, has="slug")


def reason_of(client, **query):
    """Return the reason for which the only parameter is refused."""
    answer = client.get("/data", query_string=query)
    assert answer.status_code == 400
    return {error["parameter"]: error["detail"] for error in answer.json["errors"]}["has"]


@pytest.mark.parametrize("given", ["", "noon", "2026-01-02", "2026-01-02T12:00:00"])
def test_an_instant_that_is_none_is_refused(client, given):
    answer = client.get("/data/bitcoin/raw", query_string={"observed_at": given})

    assert (answer.status_code, answer.json["errors"][0]["parameter"]) == (400, "observed_at")


@pytest.mark.parametrize(
    "given", ["", "abc", "0" * 31, "0" * 33, "g" * 32, "A" * 32, "0" * 32 + "%0A"]
)
def test_what_is_no_hash_is_refused(client, given):
    answer = client.get(f"/data/bitcoin/raw?hash={given}")

    assert (answer.status_code, answer.json["errors"][0]["parameter"]) == (400, "hash")


@pytest.mark.parametrize(
    "accept", ["text/html", "application/xml, image/*", "text/csv;q=0", "*/*;q=0"]
)
def test_what_no_format_suits_is_a_406_that_names_them(client, accept):
    answer = client.get("/data", headers={"Accept": accept})

    assert (answer.status_code, answer.json["code"]) == (406, "not_acceptable")
    assert answer.content_type == "application/problem+json"
    assert "text/csv" in answer.json["detail"]


def test_a_format_that_is_no_format_of_metrics_is_refused(client):
    assert client.get("/metrics", headers={"Accept": "image/png"}).status_code == 406
