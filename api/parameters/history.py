"""Parameters of the route that shows an asset's history."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from api.parameters import QueryString, page_size
from api.parameters.assets import byte_order_mark, decimals, format_of
from api.parameters.moment import known_at, refuse_future_times, time
from api.queries.assets import cursors
from api.queries.assets.past import EARLY
from api.queries.history.intervals import INTERVALS, between, ceiling, floor, shifted
from api.queries.history.observations import ObservationPosition
from shared.model.catalogue import LISTING_SOURCES

MOST_CANDLES = 150_000
"""Maximum number of candles in a window, including empty ones: enough for a year of 5 minutes."""

A_DAY = timedelta(days=1)
AN_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Walk:
    """The window and state of a walk through a history, and the start of its next page."""

    start: datetime
    end: datetime
    seen: str | None
    after: ObservationPosition | datetime | None = None
    """The page starts after this observation, or at this start of a candle."""

    def cursor(self, digest: str) -> str:
        seen = cursors.dump_seen(self.seen)
        after = self.after
        place = (
            [
                *map(str, (after.observed_at, after.source, after.external_id)),
                after.payload_hash.hex(),
            ]
            if isinstance(after, ObservationPosition)
            else [str(after)]
        )
        return cursors.pack([digest, str(self.start), str(self.end), seen, place])


class HistoryParameters(QueryString):
    """Parameters of `GET /data/{asset}/history`."""

    start = time(
        "The start of the window, inclusive (RFC 3339, with its offset). The default is one day "
        "before its end; with `interval`, as many candles as fit on a page. A start after all "
        "observations gives an empty list."
    )
    end = time(
        "The end of the window, exclusive. The default is just after the newest observation, and "
        "at most one day after `known_at`."
    )
    interval = fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.OneOf(INTERVALS),
        metadata={
            "description": "Candles of this length instead of observations, in UTC: days start at "
            "midnight, weeks on Monday, months on the 1st. The window is extended to complete "
            "candles.",
            "example": "1d",
        },
    )
    source = fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.OneOf(LISTING_SOURCES),
        metadata={
            "description": "Only observations of this source.",
            "example": LISTING_SOURCES[0],
        },
    )
    external_id = fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.Length(1, 300),
        metadata={
            "description": "Only observations of the listing with this id of the source.",
            "example": "btc-bitcoin",
        },
    )
    known_at = known_at()
    page_size = page_size(300, 1000, "observations or candles")
    cursor = fields.String(
        load_default=None,
        allow_none=False,
        metadata={
            "description": "The start of the page: `meta.next_cursor` of the previous page, with "
            "the same parameters. All pages show the observations as of the first page.",
            "example": "WyI4ZjE0ZTQ1ZmNlZWExNjdhIiwwXQ",
        },
    )
    decimals = decimals()
    format = format_of("json", "csv", "ndjson")
    bom = byte_order_mark()

    @validates_schema
    def check_window(self, data: Mapping[str, Any], **_: Any) -> None:
        """Refuse an empty window, and a `known_at` in the future."""
        refuse_future_times(data, "known_at")
        if data["start"] is not None and data["end"] is not None and data["start"] >= data["end"]:
            raise ValidationError({"start": ["is not before end; the window is empty"]})

    @post_load
    def read_the_cursor(self, loaded: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Compute the digest that binds cursors to this query, and decode its cursor."""
        names = ("start", "end", "interval", "source", "external_id", "known_at")
        digest = cursors.digest({name: loaded[name] for name in names})
        walk = None
        if loaded["cursor"] is not None:
            walk = _read_walk(loaded["cursor"], digest, loaded["interval"])
        return {**loaded, "digest": digest, "walk": walk}


def begin(query: Mapping[str, Any], newest: datetime | None, seen: str | None) -> Walk | None:
    """Determine the window of a first page. Without `end` it ends after the newest observation.

    None if the query has no end and the asset has no observation.

    Raises:
        ValidationError: the window holds too many candles, or exceeds the calendar.
    """
    interval, start = query["interval"], query["start"]
    if newest and query["known_at"]:
        newest = min(newest, query["known_at"] + EARLY)
    end = query["end"] or (newest and newest + AN_INSTANT)
    if end is None:
        return None
    try:
        if interval is None:
            start = start or end - A_DAY
            return Walk(start, max(start, end), seen)
        end = ceiling(interval, end)
        start = floor(interval, start) if start else shifted(interval, end, -query["page_size"])
        end = max(start, end)
        candles = between(interval, start, end)
    except (OverflowError, ValueError) as exc:
        raise ValidationError(
            {"start" if query["start"] else "end": ["is beyond the calendar"]}
        ) from exc
    if candles > MOST_CANDLES:
        reason = f"the window holds {candles} candles of {interval}, at most {MOST_CANDLES}"
        raise ValidationError({"start": [f"{reason}; start later, or use a longer interval"]})
    return Walk(start, end, seen, start)


def _read_walk(cursor: str, query_digest: str, interval: str | None) -> Walk:
    """Decode a cursor.

    Raises:
        ValidationError: it does not belong to this query.
    """
    try:
        digest, *parts = cursors.unpack(cursor)
        if digest != query_digest:
            raise cursors.CursorError("belongs to a query with other parameters")  # noqa: TRY301
        return _walk(parts, interval)
    except cursors.CursorError as exc:
        raise ValidationError({"cursor": [f"{exc}; start again without it"]}) from exc
    except (ValueError, TypeError, AttributeError, OverflowError) as exc:
        raise ValidationError({"cursor": ["malformed; start again without it"]}) from exc


def _walk(parts: list[Any], interval: str | None) -> Walk:
    first, last, seen, place = parts
    start, end = cursors.read_time(first), cursors.read_time(last)
    if interval is None:
        at, source, external_id, payload_hash = place
        after: ObservationPosition | datetime = ObservationPosition(
            cursors.read_time(at),
            cursors.read_text(source),
            cursors.read_text(external_id),
            bytes.fromhex(payload_hash),
        )
    else:
        [at] = place
        after = cursors.read_time(at)
        if not (start <= after < end and after == floor(interval, after)):
            raise ValueError(at)
    return Walk(start, end, cursors.read_seen(seen), after)
