"""From a template and what it shows to an answer."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from flask import current_app, request
from jinja2 import Environment, PackageLoader, StrictUndefined

from api.dashboard import links
from api.dashboard.formats import documents, numbers
from api.request.negotiation import PAGE
from api.responses.cached import Representation
from api.responses.staleness import stale_sources
from shared.model.catalogue import LISTING_SOURCES

POLICY = "; ".join(
    (
        "default-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
"""What a page may load: files of this server, and nothing that is written into the page."""

HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"}
"""Headers of pages. Without referrers, browsers would send the forms with `Origin: null`."""

REFRESH_SECONDS = 10
"""How often an open page asks whether it is still the newest; a 304 from memory, mostly."""


def make_environment() -> Environment:
    """Load the templates. A name that a template does not get is an error."""
    environment = Environment(
        loader=PackageLoader("api.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.loopcontrols"],
    )
    environment.filters |= {
        "usd": numbers.usd,
        "compact": numbers.compact,
        "percent": numbers.percent,
        "exact": numbers.exact,
        "whole": numbers.whole,
        "duration": numbers.duration,
        "share": numbers.share,
        "pretty": documents.pretty,
        "unpacked": documents.unpacked,
        "members": documents.members,
        "words": words,
        "minute": minute,
        "iso": iso,
        "path_of": path_of,
        "day_start": day_start,
        "day_end": day_end,
        "local_input": local_input,
        "date_input": date_input,
        "time_input": time_input,
    }
    environment.globals |= {
        "to": links.to,
        "here": links.here,
        "steps_back": links.steps_back,
        "static": links.static,
        "root": links.root,
        "navigation": links.NAVIGATION,
        "listing_sources": LISTING_SOURCES,
        "refresh_seconds": REFRESH_SECONDS,
    }
    return environment


def page(
    template: str, *, rows: int = 1, data_at: datetime | None, **values: Any
) -> Representation:
    """Render a page; `data_at` is the time of the last change of its data."""
    stale = stale_sources()
    text = render(template, stale=stale.names, sample=stale.sample, data_at=data_at, **values)
    return Representation(
        data=text.encode(),
        meta=b"",
        rows=rows,
        changed_at=None,  # the page also names the stale sources, which become so without a commit
        media=PAGE,
        headers=tuple(HEADERS.items()),
        stale_tag=stale.tag,
    )


def render(template: str, **values: Any) -> str:
    """Render a template, with what every page shows."""
    context: Mapping[str, Any] = {
        "stale": (),
        "sample": False,
        "data_at": None,
        "moment": links.moment(),
        "given": links.given(),
        "times": links.times(),
        "part_of": None,
        "page": (request.endpoint or "").removeprefix("dashboard."),
        "keys_required": current_app.extensions["settings"].api_keys_required,
        **values,
    }
    return ENVIRONMENT.get_template(f"{template}.html").render(context)


def words(name: str) -> str:
    """Write the name of a column or of a method as words: `price_usd` as `Price`."""
    name = name.removesuffix("_usd").replace("_24h", " (24 h)").replace("_", " ")
    return name[:1].upper() + name[1:]


def minute(at: datetime) -> str:
    """Write a time for people, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def day_start(day: date) -> str:
    """Write when a day begins, in UTC, for a link."""
    return f"{day.isoformat()}T00:00:00Z"


def day_end(day: date) -> str:
    """Write when a day ends, in UTC, for a link."""
    return day_start(day + timedelta(days=1))


def path_of(url: str) -> str:
    """Return a link without its parameters, for a form that sends them itself."""
    return url.partition("?")[0]


def local_input(at: datetime | None) -> str:
    """Write a time as `<input type="datetime-local">` has it, in UTC."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") if at else ""


def date_input(at: datetime | None) -> str:
    """Write the date of a time as `<input type="date">` has it, in UTC."""
    return at.astimezone(UTC).date().isoformat() if at else ""


def time_input(at: datetime | None) -> str:
    """Write a time as `<input type="time">` has it, in UTC; nothing at the end of the day."""
    of_day = at.astimezone(UTC).time() if at else time.max
    return "" if of_day == time.max else of_day.isoformat(timespec="seconds")


def iso(at: datetime) -> str:
    """Write a time for programs, in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


ENVIRONMENT = make_environment()
