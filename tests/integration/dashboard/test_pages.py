"""The pages: what they show, that their links lead somewhere, and what each may load."""

from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import update

from api.dashboard.links import STATIC
from shared.schema.market import listings
from tests.fakes.api import NOON, add_asset, add_listing
from tests.fakes.api_cache import kept_from_now_on
from tests.fakes.pages import Page, add_traced_asset

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
FIRST_VISIT = 60_000
"""At most so many bytes are sent for the market's first paint."""

PAGES = (
    "/dashboard",
    "/dashboard/assets/bitcoin",
    "/dashboard/assets/bitcoin/raw",
    "/dashboard/sources",
    "/dashboard/runs",
    "/dashboard/runs/1",
    "/dashboard/quality",
    "/dashboard/rejects",
    "/dashboard/drift",
    "/dashboard/divergent",
    "/dashboard/reviews",
)


@pytest.fixture(autouse=True)
def market(conn):
    add_traced_asset(conn)


def read(client, path):
    response = client.get(path, headers=BROWSER)
    assert response.status_code == 200, response.text
    assert response.content_type == "text/html; charset=utf-8"
    return Page(response.text)


def test_a_browser_is_led_to_the_market_and_a_program_gets_the_index(client):
    answers = {
        accept: client.get("/", headers={"Accept": accept} if accept else {})
        for accept in ("", "*/*", "application/json", "text/html", BROWSER["Accept"])
    }

    for accept in ("", "*/*", "application/json"):
        assert answers[accept].json["data"][0]["path"] == "/"
    for accept in ("text/html", BROWSER["Accept"]):
        assert answers[accept].status_code == 303
        assert answers[accept].headers["Location"] == "/dashboard"
    assert client.get("/?q=bit", headers=BROWSER).headers["Location"] == "/dashboard?q=bit"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_whole_and_has_nothing_that_its_policy_forbids(client, path):
    response = client.get(path, headers=BROWSER)
    page = Page(response.text)

    assert page.open == []
    assert page.forbidden == []
    assert len(set(page.ids)) == len(page.ids)
    assert [tag for tag, _ in page.tags].count("h1") == 1
    policy = response.headers.getlist("Content-Security-Policy")
    assert len(policy) == 1
    assert policy[0].startswith("default-src 'self'; ")
    for loaded in page.loaded:
        file = client.get(loaded)
        assert file.status_code == 200
        assert "immutable" in file.headers["Cache-Control"]


def test_every_link_of_every_page_leads_to_a_page(client):
    pending, seen = ["/dashboard"], set()
    while pending:
        path = pending.pop()
        if path in seen or len(seen) > 60:
            continue
        seen.add(path)
        links = [link.partition("#")[0] for link in read(client, path).links]
        # Each page links to earlier times, without end.
        present = [link for link in links if "as_of=" not in link]
        pending += [link for link in present if link.startswith("/dashboard")]

    assert {urlsplit(path).path for path in seen} >= set(PAGES)


def test_two_clicks_lead_from_a_price_to_its_raw_record(client):
    market = read(client, "/dashboard")
    [price] = [link for link in market.links if link.endswith("#price_usd")]
    asset = read(client, price.partition("#")[0])
    raw = next(link for link in asset.links if "/raw?" in link)
    record = read(client, raw)

    assert "$64,321.09" in market.text
    assert "price_usd" in asset.ids
    assert '"price": 64321.09120000000000000001' in record.text
    assert parse_qs(urlsplit(raw).query)["hash"][0] in record.text
    assert "run 1" in record.text


def test_an_asset_shows_why_each_value_is_this_one_and_its_identity(client, conn):
    evidence = {"ground": "same name", "market_caps": "agree", "namesakes": 2}
    conn.execute(update(listings).values(match_evidence=evidence))

    text = read(client, "/dashboard/assets/bitcoin").text

    assert "Evidence Ground same name Namesakes 2 Market caps agree" in text
    assert "The only source with this value" in text
    assert "Own, score 1.000" in text
    assert "ethereum:0xab" in text
    [listing] = client.get("/data/bitcoin").json["data"]["listings"]
    assert listing["contracts"] == ["ethereum:0xab"]


def test_exact_digits_stand_beside_every_amount(client):
    amounts = [attrs for tag, attrs in read(client, "/dashboard").tags if tag == "data"]

    assert {"value": "64321.0912", "title": "64321.0912"} in amounts


def test_forms_may_send_empty_fields_and_times_without_a_zone(client):
    filters = "q=bit&source=&divergent=&active=true&min_market_cap_usd=1000&as_of="
    past = "as_of=2026-02-01T00%3A00&known_at="

    assert "1 asset pass" in read(client, f"/dashboard?{filters}").text
    page = read(client, f"/dashboard?{past}")
    assert "The past." in page.text
    assert any("as_of=2026-02-01T00%3A00Z" in link for link in page.links)
    assert "/dashboard" in page.links


def test_what_is_sorted_and_filtered_is_in_every_link_of_the_table(client, conn):
    for number in range(3):
        add_asset(conn, f"bit-{number}", price_usd=number + 1)

    page = read(client, "/dashboard?q=bit&page_size=2&sort=price_usd")
    following = next(link for link in page.links if "page=2" in link)
    heads = [attrs for tag, attrs in page.tags if tag == "th" and "aria-sort" in attrs]

    assert {head["aria-sort"] for head in heads} == {"none", "ascending"}
    assert parse_qs(urlsplit(following).query) == {
        "q": ["bit"],
        "page_size": ["2"],
        "sort": ["price_usd"],
        "page": ["2"],
    }
    assert "Page 2 of 2" in read(client, following).text


def test_marks_are_said_in_words(client, conn):
    asset = add_asset(
        conn,
        "odd",
        divergent=True,
        price_spread_percent=3,
        active=False,
        delisted_at=NOON,
        observed_at=NOON,
    )
    add_listing(conn, asset, "coinpaprika", "odd", delisted_at=NOON)

    text = read(client, "/dashboard?q=odd").text

    for mark in ("sources disagree", "delisted", "old"):
        assert mark in text


def test_assets_of_one_name_are_told_apart_by_their_slugs(client, conn):
    for slug in ("twin", "twin-2"):
        add_asset(conn, slug, name="Twin", symbol="TWN", divergent=True)

    for path in ("/dashboard?q=twin", "/dashboard/divergent"):
        text = read(client, path).text
        assert text.count("Twin TWN") == 2
        assert text.count("Twin TWN twin-2") == 1


def test_a_page_is_cached_and_answered_with_304_until_a_commit(client, conn):
    kept_from_now_on(client)
    first = client.get("/dashboard", headers=BROWSER)
    etag = first.headers["ETag"]
    conditional = {**BROWSER, "If-None-Match": etag}

    assert first.headers["Cache-Control"] == "public, no-cache"
    assert client.get("/dashboard", headers=conditional).status_code == 304
    add_asset(conn, "new")
    changed = client.get("/dashboard", headers=conditional)
    while changed.status_code == 304:  # the commit is notified within moments
        changed = client.get("/dashboard", headers=conditional)
    assert changed.headers["ETag"] != etag


def test_a_first_visit_loads_little(client, conn):
    for number in range(60):
        add_traced_asset(conn, f"asset-{number}")

    zipped = {**BROWSER, "Accept-Encoding": "gzip"}
    page = client.get("/dashboard", headers=zipped)
    loaded = Page(client.get("/dashboard", headers=BROWSER).text).loaded
    files = [client.get(path, headers=zipped) for path in loaded]

    assert sum(len(answer.data) for answer in (page, *files)) < FIRST_VISIT


def test_static_files_are_sent_once_and_others_not_at_all(client):
    for path in STATIC.iterdir():
        answer = client.get(f"/dashboard/static/{path.name}", headers={"Accept-Encoding": "gzip"})
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.headers["Cache-Control"] == "public, no-cache"
        headers = {"If-None-Match": answer.headers["ETag"]}
        assert client.get(f"/dashboard/static/{path.name}", headers=headers).status_code == 304
    assert client.get("/dashboard/static/nothing.js").status_code == 404
