"""What the route takes that shows an asset's history."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from api.parameters import QueryString, page_size
from api.parameters.assets import byte_order_mark, decimals, format_of
from api.parameters.moment import known_at, refuse_what_is_to_come, time
from api.queries.assets import cursors
from api.queries.assets.past import EARLY
from api.queries.history.intervals import INTERVALS, between, ceiling, floor, shifted
from api.queries.history.observations import Place
from shared.model.catalogue import LISTING_SOURCES

MOST_CANDLES = 150_000
"""How many candles a window holds, empty ones too: a year of 5 minutes, with room."""

A_DAY = timedelta(days=1)
AN_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Walk:
    """A reading of all pages of a history, as the first began it, and where the next starts."""

    start: datetime
    end: datetime
    seen: str | None
    after: Place | datetime | None = None
    """After an observation; at the beginning of a candle."""

    def cursor(self, digest: str) -> str:
        """Write it for the client."""
        seen = cursors.dump_seen(self.seen)
        after = self.after
        place = (
            [
                *map(str, (after.observed_at, after.source, after.external_id)),
                after.payload_hash.hex(),
            ]
            if isinstance(after, Place)
            else [str(after)]
        )
        return cursors.pack([digest, str(self.start), str(self.end), seen, place])


class HistoryParameters(QueryString):
    """Parameters of `GET /data/{asset}/history`."""

    start = time(
        "Where the window begins, which belongs to it (RFC 3339, with its zone). Without it: a day "
        "before its end; with `interval`, as many candles as a page holds. One after all that was "
        "observed, in the future too, gives an empty list."
    )
    end = time(
        "Where the window ends, which is not in it. Without it: after the newest observation, and "
        "no later than a day after `known_at`."
    )
    interval = fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.OneOf(INTERVALS),
        metadata={
            "description": "Candles of this length instead of observations, in UTC: days begin at "
            "midnight, weeks on Monday, months on the 1st. The window is widened to whole ones.",
            "example": "1d",
        },
    )
    source = fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.OneOf(LISTING_SOURCES),
        metadata={"description": "Only what this source observed.", "example": LISTING_SOURCES[0]},
    )
    external_id = fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.Length(1, 300),
        metadata={
            "description": "Only of the listing with this id, which is the source's own.",
            "example": "btc-bitcoin",
        },
    )
    known_at = known_at()
    page_size = page_size(300, 1000, "observations or candles")
    cursor = fields.String(
        load_default=None,
        allow_none=False,
        metadata={
            "description": "Where the page starts: `meta.next_cursor` of the page before it, with "
            "the same parameters. All pages show what there was when the first was asked for.",
            "example": "WyI4ZjE0ZTQ1ZmNlZWExNjdhIiwwXQ",
        },
    )
    decimals = decimals()
    format = format_of("json", "csv", "ndjson")
    bom = byte_order_mark()

    @validates_schema
    def refuse_what_holds_nothing(self, data: Mapping[str, Any], **_: Any) -> None:
        """Refuse a window that is none, and knowledge that is to come."""
        refuse_what_is_to_come(data, "known_at")
        if data["start"] is not None and data["end"] is not None and data["start"] >= data["end"]:
            raise ValidationError({"start": ["is not before end; nothing lies between"]})

    @post_load
    def read_the_cursor(self, loaded: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Bind the query to its cursors, and find where its page starts."""
        names = ("start", "end", "interval", "source", "external_id", "known_at")
        made_for = cursors.digest({name: loaded[name] for name in names})
        walk = None
        if loaded["cursor"] is not None:
            walk = _read_walk(loaded["cursor"], made_for, loaded["interval"])
        return {**loaded, "digest": made_for, "walk": walk}


def begin(query: Mapping[str, Any], newest: datetime | None, seen: str | None) -> Walk | None:
    """Find the window of a first page, by the newest observation where its end is not given.

    None where there is neither an end nor an observation.

    Raises:
        ValidationError: it holds too many candles, or lies beyond the calendar.
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
        raise ValidationError({"start": [f"{reason}; begin later, or take a longer interval"]})
    return Walk(start, end, seen, start)


def _read_walk(cursor: str, made_for: str, interval: str | None) -> Walk:
    """Read a cursor back.

    Raises:
        ValidationError: it is not one of this query's.
    """
    try:
        digest, *parts = cursors.unpack(cursor)
        if digest != made_for:
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
        after: Place | datetime = Place(
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
