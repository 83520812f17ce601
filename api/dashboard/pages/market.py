"""The market: every asset with its values, sorted, filtered and paged."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from flask import Response, current_app, request
from marshmallow import ValidationError, validates_schema

from api.dashboard.blueprint import bp
from api.dashboard.charts.sparkline import sparkline
from api.dashboard.parameters import read_page_query
from api.dashboard.rendering import page
from api.database.pool import read
from api.parameters import page_size
from api.parameters.assets import LAST_PAGE, AssetsParameters, cursor_digest
from api.queries.assets import cursors
from api.queries.assets.find import AssetPage, find_assets
from api.queries.assets.query import AssetQuery
from api.queries.history.trends import find_trends
from api.responses.cached import Representation, cached_response
from api.responses.formats import LINE_BREAK
from api.responses.past_limit import slot_for
from shared.model.slugs import slugify

OLD = timedelta(hours=1)
"""How much older than the newest data a price must be to be marked."""

OF_FILES_ALONE = ("fields", "format", "decimals", "bom")
"""What `GET /data` takes and a page does not: it has columns and a format of its own."""

CAPS = (10**6, 10**7, 10**8, 10**9, 10**10)
"""The least market caps that the form offers."""


class MarketParameters(AssetsParameters):
    """Parameters of the market page: those of `GET /data` that choose and sort assets."""

    page_size = page_size(50, 100, "assets")

    @validates_schema(pass_original=True)
    def refuse_forms(self, _: Any, given: Mapping[str, str], **__: Any) -> None:
        """Refuse what a page would ignore."""
        names = [name for name in OF_FILES_ALONE if name in given]
        if names:
            raise ValidationError(
                {name: ["not a parameter of a page; /data has it"] for name in names}
            )


MARKET = MarketParameters()


class Row(msgspec.Struct):
    """One asset of the table."""

    slug: str
    symbol: str
    name: str
    price_usd: Decimal | None
    market_cap_usd: Decimal | None
    volume_24h_usd: Decimal | None
    price_spread_percent: Decimal | None
    price_observed_at: datetime | None
    observed_at: datetime | None
    sources: list[str]
    divergent: bool
    active: bool
    delisted_at: datetime | None

    @property
    def has_other_slug(self) -> bool:
        """Whether the slug does not follow from the name, as for a further asset of that name."""
        return slugify(self.name, "") != self.slug


COLUMNS = Row.__struct_fields__
ROWS = msgspec.json.Decoder(list[Row])


@dataclass(frozen=True, slots=True)
class Column:
    """A column that the table is sorted by."""

    name: str
    label: str
    is_number: bool = True
    """Sorted from the largest first."""
    hint: str = ""


SORTED = {
    column.name: column
    for column in (
        Column("name", "Name", is_number=False),
        Column("price_usd", "Price"),
        Column("market_cap_usd", "Market cap"),
        Column("volume_24h_usd", "Volume", hint="over 24 hours"),
        Column("source_count", "Sources"),
        Column("observed_at", "Observed"),
    )
}


@bp.get("")
def market() -> Response:
    """Show the page of assets that the query string asks for."""
    return cached_response(show_market)


def show_market() -> Representation:
    """Find the assets, and make the page."""
    query = read_page_query(MARKET, request.query_string)
    wanted: AssetQuery = replace(query["asset_query"], columns=COLUMNS, strings=True)
    totals = current_app.extensions["totals"]
    with slot_for(wanted.moment), read() as conn:
        found = find_assets(conn, wanted, query["page_size"], query["start"], totals)
        rows = rows_of(found)
        trends = find_trends(conn, [row.slug for row in rows], wanted.moment).assets if rows else ()
    changed_at = changed_at_of(found)
    # The best matches of a search come first; the order decides between equal ones.
    is_ranked = query["q"] and "sort" not in request.args
    sort = "" if is_ranked else str(query["sort"][0])
    newest_at = wanted.moment.as_of if wanted.moment else changed_at
    return page(
        "market",
        rows=len(rows),
        data_at=changed_at,
        assets=rows,
        trends={
            trend["slug"]: {**trend, "sparkline": sparkline(trend["sparkline_7d"])}
            for trend in trends
        },
        first=query["start"] if isinstance(query["start"], int) else None,
        total=found.walk.total,
        is_old=lambda at: at is not None and newest_at is not None and newest_at - at > OLD,
        columns=SORTED,
        sort=sort,
        sorts=sorts_of(sort),
        filters={name: query[name] for name in ("q", "divergent", "active")},
        source=",".join(query["source"]),
        least_cap=least_cap(query["asset_query"].filters.ranges),
        caps=CAPS,
        is_filtered=query["asset_query"].filters != AssetQuery().filters,
        pages=pages_of(query, found),
    )


def rows_of(found: AssetPage) -> list[Row]:
    """Decode the assets of a list with `COLUMNS` and `strings`."""
    return ROWS.decode(f"[{found.lines.replace(LINE_BREAK, ',')}]")


def changed_at_of(found: AssetPage) -> datetime | None:
    """Return the time of the last change of a list's data."""
    return None if found.changed_at is None else datetime.fromtimestamp(found.changed_at, UTC)


def sorts_of(current: str) -> Mapping[str, str]:
    """Return how each column is sorted next: the largest first, names from A, else turned round."""
    following = {}
    for column in SORTED.values():
        first = f"-{column.name}" if column.is_number else column.name
        turned = current.removeprefix("-") if current.startswith("-") else f"-{current}"
        following[column.name] = turned if current == first else first
    return following


def pages_of(query: Mapping[str, Any], found: AssetPage) -> Mapping[str, Any]:
    """Say where the page stands: its number among all, and the parameters of its neighbours.

    Page numbers end at `LAST_PAGE`; a cursor leads on from there.
    """
    size, number = query["page_size"], None if query["cursor"] else query["page"] or 1
    following: Mapping[str, Any] | None = None
    if found.end is not None:
        cursor = cursors.encode(found.end, found.walk, cursor_digest(query["asset_query"]))
        following = {"page": None, "cursor": cursor}
        if number is not None and number < LAST_PAGE:
            following = {"page": number + 1, "cursor": None}
    return {
        "number": number,
        "last": -(-found.walk.total // size),
        "first": None if number == 1 else {"page": None, "cursor": None},
        "previous": {"page": number - 1} if number is not None and number > 1 else None,
        "next": following,
    }


def least_cap(ranges: Iterable[tuple[str, Decimal]]) -> Decimal | None:
    """Return the least market cap that a filter asks for."""
    return next((bound for name, bound in ranges if name == "min_market_cap_usd"), None)
