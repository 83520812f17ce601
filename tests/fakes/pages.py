"""Pages as a test reads them: their links, their text, and what is written into them."""

from html.parser import HTMLParser

from sqlalchemy import Connection, insert

from shared.model.records import VALUES
from shared.schema.identity import contracts
from tests.fakes.api import (
    NOON,
    add_asset,
    add_listing,
    add_observation,
    add_raw_record,
    add_run,
    take_values_from,
)

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
