"""What is asked of whom: each cell is a kind of request, tried before it is measured."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from urllib.parse import urlencode

from tests.bench.api_load import Target, ask

PAGE_SIZE = 100
FIRST = f"/data?page_size={PAGE_SIZE}"
SEARCH = "q=cobalt"
RANGE = "min_price_usd=1"
EXPORT = "/data/export?format=ndjson"
PAGE = "/dashboard"
DEEP_SHARE = 0.95
"""How far down the list the deep page lies: page 190 of 200."""

SIZES = range(PAGE_SIZE - 20, PAGE_SIZE + 21)
"""Of the pages that all differ: as long as the others in the mean, and too many for a cache."""

TRIES = 6
"""Of a request before it is measured, so that each of a server's processes is asked."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A kind of request; the server is `limit`, `ours`, `cold` (its cache is off) or `peer`."""

    name: str
    title: str
    server: str
    paths: Sequence[str]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    beside: str | None = None
    """The peer's cell that it is compared with."""

    def target(self, ports: Mapping[str, int]) -> Target:
        return Target(ports[self.server], self.paths, self.headers)

    def refusal(self, ports: Mapping[str, int]) -> str | None:
        """Try it; say why it cannot be measured, None where it can."""
        if not self.paths:
            return "the first answer gave nothing to ask for"
        if self.server not in ports:
            return f"{self.server} does not run"
        try:
            answers = [ask(ports[self.server], self.paths[0], self.headers) for _ in range(TRIES)]
        except (OSError, HTTPException) as exc:
            return repr(exc)
        for status, headers, body in answers:
            if status != self.status:
                is_problem = headers.get("content-type") == "application/problem+json"
                code = json.loads(body)["code"] if is_problem else ""
                return f"answers {status} {code}".rstrip() + f", not {self.status}"
        return None


@dataclass(frozen=True, slots=True)
class List:
    """Our list, walked once from its beginning: a cursor for each page but the first."""

    slugs: Sequence[str]
    cursors: Sequence[str]

    @property
    def deep_page(self) -> int:
        return max(2, int(len(self.cursors) * DEEP_SHARE) + 1)

    def slugs_of(self, page: int) -> Sequence[str]:
        return self.slugs[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]


def walk(port: int) -> List:
    """Follow the cursors of our list to its end."""
    slugs: list[str] = []
    cursors: list[str] = []
    cursor: str | None = None
    while True:
        path = _after(cursor, PAGE_SIZE) if cursor else FIRST
        status, _, body = ask(port, path, {})
        if status != 200:
            raise SystemExit(f"{path!r} answers {status}: {body[:500]!r}")
        page = json.loads(body)
        slugs += (asset["slug"] for asset in page["data"])
        cursor = page["meta"]["next_cursor"]
        if cursor is None:
            return List(slugs, cursors)
        cursors.append(cursor)


def cells(ports: Mapping[str, int], walked: List) -> Sequence[Cell]:
    """List what is measured, in the order in which it takes its turn."""
    _, headers, body = ask(ports["ours"], FIRST, {})
    etag = headers.get("etag")
    symbol = f"symbol={json.loads(body)['data'][0]['symbol']}"
    deep = walked.deep_page
    deeper = [_after(walked.cursors[deep - 2], PAGE_SIZE)] if walked.cursors else []
    pages = list(_pages(walked.cursors))
    some = [f"/data/{slug}" for slug in walked.slugs[:: max(1, len(walked.slugs) // 1000)]]
    pages_of_assets = [path.replace("/data/", f"{PAGE}/assets/") for path in some]
    only = f"{FIRST}&{symbol}"
    known = {"If-None-Match": etag or ""}
    return [
        Cell("limit", "limit: the same bytes each time", "limit", [FIRST]),
        Cell("warm", "first page, warm", "ours", [FIRST], beside="peer"),
        Cell("304", "first page, not modified", "ours", [FIRST] if etag else [], 304, known),
        Cell("walk", f"{len(pages):,} pages in turn", "ours", pages, beside="peer"),
        Cell("cold", "first page, cache off", "cold", [FIRST], beside="peer"),
        Cell("deep", f"page {deep} by cursor, cache off", "cold", deeper, beside="peer-deep"),
        Cell("symbol", f"{symbol}, cache off", "cold", [only], beside="peer-symbol"),
        Cell("q", f"{SEARCH}, cache off", "cold", [f"{FIRST}&{SEARCH}"]),
        Cell("price", f"{RANGE}, cache off", "cold", [f"{FIRST}&{RANGE}"]),
        Cell("asset", "/data/{asset}, cache off", "cold", some, beside="peer-asset"),
        Cell("page", "the dashboard's market, warm", "ours", [PAGE], beside="warm"),
        Cell("page-cold", "the same, cache off", "cold", [PAGE]),
        Cell("page-asset", "the page of an asset, cache off", "cold", pages_of_assets),
        Cell("health", "/health", "ours", ["/health"]),
        Cell("live", "/health/live", "ours", ["/health/live"]),
        Cell("export", EXPORT, "ours", [EXPORT]),
        Cell("peer", "peer: first page", "peer", [FIRST]),
        Cell("peer-deep", f"peer: page {deep} by offset", "peer", [f"{FIRST}&page={deep}"]),
        Cell("peer-symbol", f"peer: {symbol}", "peer", [only]),
        Cell("peer-asset", "peer: /data/{asset}", "peer", some),
    ]


def differences(ports: Mapping[str, int], walked: List) -> Iterator[str]:
    """Say of two pages whether the peer's hold the same assets as ours."""
    for page in (1, walked.deep_page) if "peer" in ports else ():
        status, _, body = ask(ports["peer"], f"{FIRST}&page={page}", {})
        theirs = [asset["slug"] for asset in json.loads(body)["data"]] if status == 200 else []
        same = theirs == walked.slugs_of(page)
        yield f"page {page}: the peer's {len(theirs)} assets are {'' if same else 'NOT '}ours"


def _after(cursor: str, page_size: int) -> str:
    return f"/data?{urlencode({'page_size': page_size, 'cursor': cursor})}"


def _pages(cursors: Sequence[str]) -> Iterator[str]:
    """Name more pages of the list than a cache keeps."""
    for size in SIZES:
        yield from (_after(cursor, size) for cursor in cursors)
