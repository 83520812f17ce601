"""The question how an asset's price moved: candles, of what was observed of its listings."""

from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from sqlalchemy import Connection, select, true

from api.columns import written
from api.intervals import starts
from api.queries.history import CHOSEN, Asked, typed
from api.queries.past import KNOWN
from api.queries.statements import Statement

CANDLE: dict[str, type] = {
    "start": datetime,
    **dict.fromkeys(("open_usd", "high_usd", "low_usd", "close_usd"), Decimal),
    "sample_count": int,
    "sources": list,
    "volume_24h_usd": Decimal,
    "first_observed_at": datetime,
    "last_observed_at": datetime,
}
"""What is shown of a candle."""

# Every observation with a price counts, whichever listing it is of; a price of 0 is unknown. One
# order serves the first of a candle, the last, and the last volume.
IN_ORDER = "ORDER BY observed_at, source, external_id, payload_hash"
CANDLES = f"""
WITH samples AS (
  SELECT width_bucket(o.observed_at, CAST(:starts AS timestamptz[])) AS place, o.*, l.source,
         l.external_id
  FROM {CHOSEN} CROSS JOIN LATERAL (
    SELECT observed_at, price_usd, volume_24h_usd, payload_hash FROM observations AS o
    WHERE o.listing_id = l.id AND o.observed_at >= :first AND o.observed_at < :last
      AND o.price_usd > 0 AND {KNOWN}
  ) AS o
),
candles AS (
  SELECT place,
         (array_agg(price_usd {IN_ORDER}))[1] AS open_usd,
         max(price_usd) AS high_usd,
         min(price_usd) AS low_usd,
         (array_agg(price_usd {IN_ORDER}))[count(*)] AS close_usd,
         count(*) AS sample_count,
         array_agg(DISTINCT source) AS sources,
         (array_agg(volume_24h_usd {IN_ORDER}) FILTER (WHERE volume_24h_usd IS NOT NULL))
           [count(volume_24h_usd)] AS volume_24h_usd,
         min(observed_at) AS first_observed_at,
         max(observed_at) AS last_observed_at
  FROM samples GROUP BY place
)
SELECT b.start, c.open_usd, c.high_usd, c.low_usd, c.close_usd,
       coalesce(c.sample_count, 0) AS sample_count, coalesce(c.sources, '{{}}') AS sources,
       c.volume_24h_usd, c.first_observed_at, c.last_observed_at
FROM unnest(CAST(:starts AS timestamptz[])) WITH ORDINALITY AS b (start, place)
LEFT JOIN candles AS c USING (place)
ORDER BY b.start
"""  # noqa: S608  as above


def find_candles(
    conn: Connection, asked: Asked, interval: str, start: datetime, candles: int
) -> list[str]:
    """Return so many candles as lines, the first beginning at `start`; empty ones are there too."""
    begins = starts(interval, start, candles + 1)
    given = {
        **asked.bind(),
        "starts": begins[:-1],
        "first": begins[0],
        "last": begins[-1],
    }
    return [line for (line,) in _page(asked.csv, asked.strings).execute(conn, given)]


@lru_cache(maxsize=4)
def _page(csv: bool, strings: bool) -> Statement:
    page = typed(CANDLES, CANDLE).subquery("page")
    line, as_text = written(page, [*CANDLE], csv=csv, strings=strings, kinds=CANDLE)
    return Statement(select(as_text).select_from(page.join(line, true())).order_by(page.c.start))
