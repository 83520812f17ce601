"""Empty pages and errors of pages: what happened, and what to do."""

import pytest
from sqlalchemy import delete, insert

from shared.schema.identity import identity_events
from shared.schema.market import assets
from tests.fakes.api import NOWHERE, add_asset, add_listing, api_on
from tests.fakes.pages import Page, add_traced_asset


def error(client, path, status):
    response = client.get(path)
    assert response.status_code == status, response.text
    assert response.content_type == "text/html; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"
    page = Page(response.text)
    assert page.forbidden == page.open == []
    assert response.headers["X-Request-Id"] in page.text
    return page


def test_without_data_the_page_says_how_to_load_some(client):
    text = Page(client.get("/dashboard").text).text

    assert "No data yet" in text
    assert "worker run" in text


def test_filters_that_nothing_passes_can_be_cleared(client, conn):
    add_asset(conn, "bitcoin")
    page = Page(client.get("/dashboard?q=nothing").text)

    assert "No asset passes these filters" in page.text
    assert page.links.count("/dashboard") > 1
    assert "This page is empty" in Page(client.get("/dashboard?page=9").text).text
    past = Page(client.get("/dashboard?as_of=2020-01-01T00:00:00Z").text)
    assert "Nothing was observed by then" in past.text


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/dashboard?sorted=x", "sorted: unknown parameter; did you mean 'sort'?"),
        ("/dashboard?format=csv", "format: not a parameter of a page; /data has it"),
        ("/dashboard?as_of=yesterday", "as_of: not a time"),
        ("/dashboard/assets/bitcoin?interval=2h", "interval:"),
        ("/dashboard/assets/bitcoin/raw?hash=x", "hash: not a hash"),
        ("/dashboard/assets/bitcoin/raw?as_of=2026-01-01T00:00:00Z", "as_of: names no record"),
    ],
)
def test_a_bad_parameter_is_named(client, conn, path, reason):
    add_traced_asset(conn)
    page = error(client, path, 400)

    assert reason in page.text
    assert path.partition("?")[0] in page.links


def test_an_asset_that_is_gone_leads_to_its_successor(client, conn):
    asset, former = add_asset(conn, "successor"), add_asset(conn, "former")
    listing = add_listing(conn, asset, "coingecko", "former")
    event = {"listing_id": listing, "from_asset_id": former, "to_asset_id": asset}
    conn.execute(insert(identity_events).values(**event, method="own", evidence={}))
    conn.execute(delete(assets).where(assets.c.id == former))

    assert "/dashboard/assets/successor" in error(client, "/dashboard/assets/former", 404).links
    assert "/dashboard" in error(client, "/dashboard/assets/never", 404).links


def test_unknown_pages_are_pages_and_other_paths_stay_problems(client):
    for path in ("/dashboard/nothing", "/dashboard/", "/dashboard/assets"):
        error(client, path, 404)
    for path in ("/nothing", "/dashboards", "/data/nothing"):
        assert client.get(path).content_type == "application/problem+json"


def test_a_page_answers_another_method_as_a_page_and_other_paths_do_not(client):
    page = error(client, "/dashboard/sign-out", 405)  # reloaded after signing out
    posted = client.post("/dashboard")

    assert "/dashboard" in page.links
    assert client.get("/dashboard/sign-out").headers["Allow"] == "POST"
    assert (posted.status_code, posted.content_type) == (405, "text/html; charset=utf-8")
    assert client.post("/data").json["code"] == "method_not_allowed"


def test_without_a_database_the_page_says_so_and_tries_again():
    with api_on(NOWHERE) as client:
        page = error(client, "/dashboard", 503)

    assert "The data cannot be read now" in page.text
    assert any("data-error" in attributes for _, attributes in page.tags)
