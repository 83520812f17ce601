"""The runs of each day by outcome, and the maximum lag of each day."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, text

from shared.model.runs import OUTCOMES

COUNTED = ("running", *OUTCOMES)

FIRST = "(CAST(now() AT TIME ZONE 'UTC' AS date) - (:days - 1))"
SINCE = f"(CAST({FIRST} AS timestamp) AT TIME ZONE 'UTC')"
"""Written out where runs are selected, so that Postgres can estimate how many they are."""

# The lag is greatest just before a success and at the end of a day; today ends now. Sources are
# identified by their place, because numbers are sorted faster.
DAYS = text(f"""
WITH known AS MATERIALIZED (
  SELECT source, place, {FIRST} AS first
  FROM unnest(CAST(:sources AS text[])) WITH ORDINALITY AS s (source, place)
),
recent AS MATERIALIZED (
  SELECT k.place, k.first, r.outcome, r.started_at, r.finished_at
  FROM known AS k JOIN runs AS r ON r.source = k.source AND r.started_at >= {SINCE}
  WHERE CAST(:command AS text) IS NULL OR r.command = :command
),
counted AS (
  SELECT place, CAST(started_at AT TIME ZONE 'UTC' AS date) AS day,
         {", ".join(f"count(*) FILTER (WHERE outcome = '{each}') AS {each}" for each in COUNTED)}
  FROM recent GROUP BY 1, 2
),
successes AS (
  SELECT place, first, finished_at FROM recent WHERE outcome = 'succeeded'
  UNION ALL
  SELECT k.place, k.first, r.finished_at
  FROM known AS k
  CROSS JOIN LATERAL (
    SELECT finished_at FROM runs
    WHERE source = k.source AND started_at < {SINCE} AND outcome = 'succeeded'
      AND (CAST(:command AS text) IS NULL OR command = :command)
    ORDER BY started_at DESC LIMIT 2
  ) AS r
),
succeeded_on AS (
  SELECT place, greatest(CAST(finished_at AT TIME ZONE 'UTC' AS date), first - 1) AS day,
         max(finished_at) AS last_at, max(finished_at - previous_at) AS longest
  FROM (
    SELECT *, lag(finished_at) OVER (PARTITION BY place ORDER BY finished_at) AS previous_at
    FROM successes
  ) AS s
  GROUP BY 1, 2
),
days AS (
  SELECT k.source, k.place, k.first, k.first + d.number AS day,
         least(CAST(k.first + d.number + 1 AS timestamp) AT TIME ZONE 'UTC', now()) AS until
  FROM known AS k CROSS JOIN generate_series(-1, :days - 1) AS d (number)
),
lagging AS (
  SELECT d.*, greatest(s.longest, d.until - max(s.last_at) OVER (PARTITION BY place ORDER BY day))
                AS greatest_lag
  FROM days AS d LEFT JOIN succeeded_on AS s USING (place, day)
)
SELECT l.source, l.day AS date,
       {", ".join(f"coalesce(c.{each}, 0) AS {each}" for each in COUNTED)},
       round(extract(epoch FROM l.greatest_lag), 3) AS max_lag_seconds
FROM lagging AS l LEFT JOIN counted AS c USING (place, day)
WHERE l.day >= l.first
ORDER BY l.place, l.day
""")  # noqa: S608  no external input


def count_days(
    conn: Connection, sources: Sequence[str], days: int, command: str | None = None
) -> list[dict[str, Any]]:
    """Return the last days (UTC) of each source, including today, oldest first.

    Each day has the number of runs that started on it, by outcome, and the maximum time since the
    last success; None before the first success.
    """
    parameters = {"sources": [*sources], "days": days, "command": command}
    rows = conn.execute(DAYS, parameters).mappings()
    return [
        {
            "source": source,
            "days": [
                {
                    "date": row["date"],
                    "runs": {name: row[name] for name in COUNTED},
                    "max_lag_seconds": row["max_lag_seconds"],
                }
                for row in of_source
            ],
        }
        for source, of_source in groupby(rows, itemgetter("source"))
    ]
