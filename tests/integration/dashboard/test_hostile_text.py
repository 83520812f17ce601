"""Text of sources that tries to become part of a page."""

import json

import pytest

from tests.fakes.api import NOON, add_asset, add_listing, add_observation, add_raw_record
from tests.fakes.pages import Page

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title></table><style>*{display:none}</style>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "\N{RIGHT-TO-LEFT OVERRIDE}nioctib",
    "w" * 300,
)


@pytest.fixture(autouse=True)
def market(conn):
    for number, text in enumerate(HOSTILE):
        asset = add_asset(
            conn, f"hostile-{number}", name=text, symbol=text[:20], observed_at=NOON, price_usd=1
        )
        raw = {
            "payload_hash": add_raw_record(
                conn, "csv", text, json.dumps({"name": text, text: {"nested": [text]}})
            )
        }
        listing = add_listing(
            conn,
            asset,
            "csv",
            text,
            name=text,
            symbol=text[:20],
            match_evidence={text: text},
            **raw,
        )
        add_observation(conn, listing, price_usd=1, **raw)


def test_nothing_of_it_becomes_markup(client):
    expected = {tag for tag, _ in Page(client.get("/dashboard?q=nothing").text).tags}
    market = Page(client.get("/dashboard").text)

    assert market.forbidden == market.open == []
    assert {"img", "style"}.isdisjoint(expected | {tag for tag, _ in market.tags})
    for number, text in enumerate(HOSTILE):
        assert text in "".join(market.texts)
        for path in (
            f"/dashboard/assets/hostile-{number}",
            f"/dashboard/assets/hostile-{number}/raw",
        ):
            response = client.get(path)
            page = Page(response.text)
            assert response.status_code == 200
            assert page.forbidden == page.open == []
            assert {"img", "style"}.isdisjoint(tag for tag, _ in page.tags)
            assert text in "".join(page.texts)
            assert not [link for link in page.links if not link.startswith(("/", "#"))]


def test_what_a_request_says_is_escaped_too(client):
    for text in HOSTILE:
        for path in ("/dashboard", "/dashboard/assets/hostile-0", "/dashboard/nothing"):
            page = Page(client.get(path, query_string={"q": text, text[:50]: text}).text)
            assert page.forbidden == page.open == []
            assert {"img", "style"}.isdisjoint(tag for tag, _ in page.tags)
