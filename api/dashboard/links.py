"""Links between the pages; each keeps the time that the reader looks at."""

import functools
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from flask import request, url_for

from api.dashboard.parameters import MOMENT, TIMES, complete
from api.parameters.fields import parse_time
from api.queries.times import in_utc

NAVIGATION = (
    ("market", "Market"),
    ("sources", "Sources"),
    ("runs", "Runs"),
    ("quality", "Quality"),
)
"""The pages that every page links to: the name of the view, and the text of the link."""

SAFE = "/!$&'()*+,;=:@"
"""What a path has as it is, beside letters and digits."""

DAY, WEEK = timedelta(days=1), timedelta(days=7)

EARLIEST = datetime.min.replace(tzinfo=UTC) + WEEK
"""No time before this has one that is a week earlier."""

STATIC = Path(str(files("api"))) / "dashboard" / "static"


def given() -> Mapping[str, str]:
    """Return the parameters of this request, complete and without the empty ones."""
    return dict(complete(request.query_string))


def times() -> Mapping[str, datetime]:
    """Return the times among the parameters of this request, in UTC; without malformed ones."""
    found = {}
    for name, value in given().items():
        if name in TIMES:
            with suppress(ValueError):
                found[name] = in_utc(parse_time(value))
    return found


def moment() -> Mapping[str, str]:
    """Return the parameters that say which time is looked at; none for the present."""
    return {name: value for name, value in given().items() if name in MOMENT}


def steps_back(data_at: datetime | None) -> Mapping[str, datetime]:
    """Return earlier times by the text of the link to each.

    They are counted from the time that is looked at; in the present, from the last change of the
    page's data. Without any of these the result is empty.
    """
    shown = times()
    past = shown.get("as_of") or shown.get("known_at")
    start = past or data_at
    if start is None or start < EARLIEST:
        return {}
    return {"A day earlier": start - DAY, "A week earlier": start - WEEK}


def to(page: str, **values: str | int | None) -> str:
    """Link to a page by the name of its view, at the time that this page shows."""
    query: Mapping[str, Any] = {**moment(), **values}
    return url_for(f"dashboard.{page}", **query)


def here(_anchor: str = "", **changed: str | int | None) -> str:
    """Link to this page, or a part of it, with other parameters; None leaves one out."""
    values = {**given(), **changed}
    query = urlencode({name: value for name, value in values.items() if value is not None})
    path = f"{request.script_root}{quote(request.path, safe=SAFE)}"
    return path + (f"?{query}" if query else "") + (f"#{_anchor}" if _anchor else "")


def root() -> str:
    """Return where the application begins, behind a proxy too."""
    return f"{request.script_root}/"


def static(name: str) -> str:
    """Link to a static file; another content has another URL."""
    return url_for("dashboard.static", name=name, v=digest(name))


@functools.cache
def digest(name: str) -> str:
    """Return what tells the content of a static file."""
    return blake2b((STATIC / name).read_bytes(), digest_size=6).hexdigest()
