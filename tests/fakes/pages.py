"""Pages as a test reads them: their links, their text, and what is written into them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser

from flask.testing import FlaskClient
from sqlalchemy import Connection, insert

from shared.model.records import VALUES
from shared.schema.identity import contracts, matches
from tests.fakes.api import (
    NOON,
    add_asset,
    add_drift,
    add_listing,
    add_observation,
    add_raw_record,
    add_reject,
    add_run,
    take_values_from,
)

HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">\u202eevil\u202c' + "w" * 300
"""Text of a source that must stay text: markup, a right-to-left override, a long word."""

VOID = frozenset({"meta", "link", "input", "br", "img", "hr"})


class Page(HTMLParser):
    """The links, texts and tags of a page, and what its policy forbids."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.forbidden: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "a":
            self.links.append(attributes["href"])
        if tag in {"script", "link", "img"}:
            self.loaded.append(attributes.get("src") or attributes.get("href"))
        if "id" in attributes:
            self.ids.append(attributes["id"])
        self.forbidden += [name for name in attributes if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in attributes):
            self.forbidden.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def shown(client: FlaskClient, path: str, status: int = 200) -> str:
    """Return a page of the dashboard, which is whole and has nothing that its policy forbids."""
    response = client.get(f"/dashboard{path}", headers={"Accept": "text/html"})
    assert response.status_code == status, response.text
    page = Page(response.text)
    assert page.forbidden == page.open == []
    assert {"img", "style"}.isdisjoint(tag for tag, _ in page.tags)
    assert len(page.ids) == len(set(page.ids))
    assert [tag for tag, _ in page.tags].count("h1") == 1
    return response.text


def add_traced_asset(conn: Connection, slug: str = "bitcoin", **columns) -> int:
    """Insert an asset with a listing, an observation and its raw record, and return its id."""
    figures = dict.fromkeys(VALUES, 64321) | {"price_usd": "64321.0912"}
    times = {f"{value.removesuffix('_usd')}_observed_at": NOON for value in ("price_usd",)}
    asset = add_asset(conn, slug, observed_at=NOON, **figures, **times, **columns)
    run = add_run(conn)
    payload = f'{{"id": "{slug}", "price": 64321.09120000000000000001}}'
    raw = {"payload_hash": add_raw_record(conn, "coingecko", slug, payload, run_id=run)}
    named = {name: columns[name] for name in ("name", "symbol") if name in columns}
    listing = add_listing(conn, asset, "coingecko", slug, run_id=run, **raw, **figures, **named)
    take_values_from(conn, asset, **dict.fromkeys(VALUES, listing))
    add_observation(conn, listing, run_id=run, **raw, **figures)
    contract = {"source": "coingecko", "external_id": slug, "chain": "ethereum", "address": "0xab"}
    conn.execute(insert(contracts).values(contract))
    return asset


def add_open_work(conn: Connection, text: str, one: int, other: int) -> None:
    """Insert failed runs, a reject, drift and a review of two listings that have a source's text.

    The runs are the newest of coingecko; they end at the present.
    """
    for hours in (30, 3, 1):
        started = datetime.now(UTC) - timedelta(hours=hours)
        add_run(
            conn,
            outcome="succeeded" if hours == 30 else "failed",
            reason=None if hours == 30 else "unreachable",
            error=text,
            started_at=started,
            finished_at=started + timedelta(seconds=9),
            cursor_after={"page": text},
            phase_seconds={"wait": 1.5, "fetch": 2, "check": 0.25, "load": 3, "commit": 0.1},
        )
    add_run(conn, outcome="running")
    add_reject(conn, text.encode(), external_id=text, reasons=[text], position=text)
    add_reject(
        conn, b'{"price": -1.50}', resolved_at=NOON, dismissed_by=text, dismissed_reason=text
    )
    add_drift(conn, text, detail={"type": text}, example={"value": text})
    conn.execute(
        insert(matches).values(
            listing_id=one,
            other_listing_id=other,
            method="symbol_and_name",
            score=Decimal("0.4"),
            verdict="review",
            prices="differ",
            evidence={"names": text, text: [text]},
        )
    )
