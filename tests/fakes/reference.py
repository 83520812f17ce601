"""What `/data` ought to answer, worked out in plain Python from the rows themselves."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import Connection, select

from api.queries.assets.columns import ASSET_COLUMNS, NUMERIC_COLUMNS
from shared.schema.market import assets, listings

TIMES = ("observed_at", "created_at", "updated_at")
LABELS = ("name", "symbol", "slug")
SORTED_CHARACTERS = 200

LOW = "1.000000000000000000000000000001"
MIDDLE = "1.000000000000000000000000000002"
HIGH = "1.000000000000000000000000000003"
"""Numbers that are one and the same to a float."""

DECIMALS = tuple(name for name in NUMERIC_COLUMNS if name not in {"source_count", "version"})


def read_assets(conn: Connection) -> list[dict[str, Any]]:
    """Read all that the API shows of every asset, and which sources list it."""
    listed: dict[int, set[str]] = {}
    for row in conn.execute(select(listings.c.asset_id, listings.c.source)):
        listed.setdefault(row.asset_id, set()).add(row.source)
    columns = [assets.c.id, *(assets.c[name] for name in ASSET_COLUMNS)]
    rows = conn.execute(select(*columns).order_by(assets.c.id)).mappings()
    return [{**row, "sources": listed.get(row["id"], set())} for row in rows]


def expected(rows: Sequence[Mapping[str, Any]], query: Mapping[str, Any]) -> list[str]:
    """Name the assets that a query finds, in its order."""
    found = [row for row in rows if passes(row, query)]
    for key in reversed(query.get("sort", "-market_cap_usd").split(",")):
        name = key.removeprefix("-")
        known = [row for row in found if row[name] is not None]
        known.sort(key=lambda row, name=name: place(row[name]), reverse=key.startswith("-"))
        found = known + [row for row in found if row[name] is None]
    if "q" in query:
        found.sort(key=lambda row: not any(each.startswith(text(query)) for each in labels(row)))
    return [row["slug"] for row in found]


def place(value: Any) -> Any:
    return value[:SORTED_CHARACTERS] if isinstance(value, str) else value


def labels(row: Mapping[str, Any]) -> list[str]:
    return [row[name].lower() for name in LABELS]


def text(query: Mapping[str, Any]) -> str:
    return str(query["q"]).lower()


def passes(row: Mapping[str, Any], query: Mapping[str, Any]) -> bool:
    """Whether every condition holds."""
    return all(holds(row, name, value) for name, value in query.items())


def holds(row: Mapping[str, Any], name: str, value: str) -> bool:
    """Whether one condition holds; what is not one (`sort`) does."""
    conditions: dict[str, Callable[[], bool]] = {
        "symbol": lambda: row["symbol"] in {each.strip().upper() for each in value.split(",")},
        "source": lambda: bool(row["sources"] & set(value.split(","))),
        "q": lambda: any(value.lower() in each for each in labels(row)),
        "has": lambda: all(row[each] is not None for each in value.split(",")),
        "divergent": lambda: row["divergent"] is (value == "true"),
        "updated_since": lambda: bool(row["updated_at"] >= datetime.fromisoformat(value)),
    }
    end, _, column = name.partition("_")
    if end in {"min", "max"}:
        known, bound = row[column], Decimal(value)
        return known is not None and (known >= bound if end == "min" else known <= bound)
    return conditions.get(name, lambda: True)()


def plain(value: Any) -> str | None:
    """Write a value as CSV has it, and JSON with `decimals=string`."""
    match value:
        case bool():
            return str(value).lower()
        case Decimal():
            return format(value, "f")
        case datetime():
            return (
                f"{value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
            )
    return None if value is None else str(value)


def follow(client: FlaskClient, **query: Any) -> list[dict[str, Any]]:
    """Follow the cursors of `/data` from the first page to the last; return every page."""
    pages: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while not pages or cursor["cursor"]:
        answer = client.get("/data", query_string={**query, **cursor})
        assert answer.status_code == 200, answer.text
        pages.append(answer.json)
        cursor = {"cursor": pages[-1]["meta"]["next_cursor"]}
        assert len(pages) < 10_000
    return pages


def slugs(pages: Sequence[Mapping[str, Any]]) -> list[str]:
    return [asset["slug"] for page in pages for asset in page["data"]]
