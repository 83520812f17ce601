"""Candles of an asset's price, from the observations of its listings.

Candles show observations only: every source counts, and an empty interval stays empty instead of
repeating the last price. Charts expect one entry for each interval.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import Connection, select

from api.queries.assets.columns import json_line, written
from api.queries.assets.past import PREVAILS
from api.queries.history.intervals import starts
from api.queries.history.scope import CHOSEN, HistoryScope, Listings, typed
from api.queries.statements import Statement
from shared.model.unified import current_for

CANDLE: dict[str, type] = {
    "start": datetime,
    **dict.fromkeys(("open_usd", "high_usd", "low_usd", "close_usd"), Decimal),
    "sample_count": int,
    "sources": list,
    "volume_24h_usd": Decimal,
    "first_observed_at": datetime,
    "last_observed_at": datetime,
}
"""The columns of a candle, with their types."""


# Every observation with a price counts, whatever its listing, unless another observation of its
# instant superseded it. A price of 0 is unknown. The first, the last, and the last with a volume
# are determined by time, then by listing. They are looked up, so nothing has to be sorted. A volume
# that is too much older than the last price to be current is not shown.
def _candles(series: str, all_series: str) -> str:
    """Return the query of candles, one of each interval for each value of `series`.

    `series` is an expression of the table `chosen`, and `all_series` a table of all its values.
    """
    return f"""
WITH {CHOSEN},
of_listings AS (
  SELECT width_bucket(o.observed_at, CAST(:starts AS timestamptz[])) AS place, l.place AS listing,
         max(o.price_usd) AS high_usd, min(o.price_usd) AS low_usd, count(*) AS samples,
         min(o.observed_at) AS first_at, max(o.observed_at) AS last_at,
         max(o.observed_at) FILTER (WHERE o.volume_24h_usd IS NOT NULL) AS volume_at
  FROM chosen AS l JOIN observations AS o ON o.listing_id = l.id
  WHERE o.observed_at >= :first AND o.observed_at < :last AND o.price_usd > 0
    AND {PREVAILS}
  GROUP BY 1, 2
),
candles AS (
  SELECT of_listings.place, {series} AS series, max(high_usd) AS high_usd, min(low_usd) AS low_usd,
         sum(samples) AS samples, array_agg(DISTINCT chosen.source) AS sources,
         min(first_at) AS first_at, max(last_at) AS last_at, max(volume_at) AS volume_at,
         (array_agg(listing ORDER BY first_at, listing))[1] AS first,
         (array_agg(listing ORDER BY last_at DESC, listing DESC))[1] AS last,
         (array_agg(listing ORDER BY volume_at DESC NULLS LAST, listing DESC))[1] AS last_volume
  FROM of_listings JOIN chosen ON chosen.place = listing
  GROUP BY 1, 2
)
SELECT s.series, b.start, opens.price_usd AS open_usd, c.high_usd, c.low_usd,
       closes.price_usd AS close_usd, coalesce(c.samples, 0) AS sample_count,
       coalesce(c.sources, '{{}}') AS sources, volumes.volume_24h_usd,
       c.first_at AS first_observed_at, c.last_at AS last_observed_at
FROM unnest(CAST(:starts AS timestamptz[])) WITH ORDINALITY AS b (start, place)
CROSS JOIN {all_series} AS s (series) LEFT JOIN candles AS c USING (place, series)
LEFT JOIN LATERAL (
  SELECT o.price_usd FROM chosen AS l JOIN observations AS o ON o.listing_id = l.id
  WHERE l.place = c.first AND o.observed_at = c.first_at AND o.price_usd > 0
    AND {PREVAILS}
  ORDER BY o.payload_hash LIMIT 1
) AS opens ON true
LEFT JOIN LATERAL (
  SELECT o.price_usd FROM chosen AS l JOIN observations AS o ON o.listing_id = l.id
  WHERE l.place = c.last AND o.observed_at = c.last_at AND o.price_usd > 0
    AND {PREVAILS}
  ORDER BY o.payload_hash DESC LIMIT 1
) AS closes ON true
LEFT JOIN LATERAL (
  SELECT o.volume_24h_usd FROM chosen AS l JOIN observations AS o ON o.listing_id = l.id
  WHERE l.place = c.last_volume AND o.observed_at = c.volume_at AND o.price_usd > 0
    AND o.volume_24h_usd IS NOT NULL AND {PREVAILS}
    AND c.volume_at >= c.last_at - {current_for("l.source")}
  ORDER BY o.payload_hash DESC LIMIT 1
) AS volumes ON true
"""  # noqa: S608  no external input


ALL = _candles("''", "(VALUES (''))")
BY_SOURCE = _candles("chosen.source", "(SELECT DISTINCT source FROM chosen)")


def find_candles(
    conn: Connection, scope: HistoryScope, interval: str, start: datetime, candles: int
) -> list[str]:
    """Return this number of candles as lines, from `start` on, including empty ones."""
    parameters = {**scope.bind(), **_window(interval, start, candles)}
    return [line for (line,) in _page(scope.csv, scope.strings).execute(conn, parameters)]


def find_candles_by_source(
    conn: Connection,
    listings: Listings,
    known_at: datetime | None,
    window: tuple[str, datetime, int],
    until: datetime | None,
) -> Mapping[str, list[str]]:
    """Return the candles of each source as lines of JSON with decimals as strings.

    `window` is the interval, the first start and the number of candles, which is the same for each
    source; observations at `until` or later are ignored.
    """
    scope = HistoryScope(listings, known_at, None, csv=False, strings=True)
    parameters = {**scope.bind(), **_window(*window, until)}
    found: dict[str, list[str]] = {}
    for source, line in _page_by_source().execute(conn, parameters):
        found.setdefault(source, []).append(line)
    return found


def _window(
    interval: str, start: datetime, candles: int, until: datetime | None = None
) -> Mapping[str, Any]:
    """Return the parameters for a number of candles."""
    boundaries = starts(interval, start, candles + 1)
    last = boundaries[-1] if until is None else min(boundaries[-1], until)
    return {"starts": boundaries[:-1], "first": boundaries[0], "last": last}


@lru_cache(maxsize=4)
def _page(csv: bool, strings: bool) -> Statement:
    page = typed(ALL, {"series": str, **CANDLE}).subquery("page")
    line = written(page, [*CANDLE], csv=csv, strings=strings, kinds=CANDLE)
    return Statement(select(line).order_by(page.c.start))


@cache
def _page_by_source() -> Statement:
    page = typed(BY_SOURCE, {"series": str, **CANDLE}).subquery("page")
    line = json_line(page, [*CANDLE], CANDLE, strings=True)
    return Statement(select(page.c.series, line).order_by(page.c.series, page.c.start))
