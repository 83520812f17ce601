"""The estimated next run of each source, and the request budget of its provider."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from shared.model.catalogue import CATALOGUE, EXPECTATIONS
from shared.model.expectations import AGAIN_AFTER, MISSED_PASSES
from shared.settings import Settings

PROVIDERS = {entry.name: entry.provider.name for entry in CATALOGUE if entry.provider}

# Runs are looked up by an index that begins with the source, as `sources.runs_of` explains. A
# budget's row has the meaning that `worker/fetch/budget.sql` defines: an earlier month is over. A
# pause that starts more than a minute in the future was written before the clock was set back, and
# so was a next request more than 61 seconds ahead without a pause. The worker ignores both.
SCHEDULE = text("""
SELECT s.source, now() AS now, last.started_at AS last_at, good.started_at AS good_at,
       coalesce(c.cleared_at > last.started_at, false) AS was_cleared,
       usual.took AS usually_takes,
       CASE WHEN b.month >= this.month THEN b.requests ELSE 0 END AS requests_used,
       CAST(greatest(b.month, this.month) + interval '1 month' AS timestamp) AT TIME ZONE 'UTC'
         AS renews_at,
       CASE WHEN p.is_paused OR b.next_request_at <= now() + interval '61 seconds'
            THEN b.next_request_at END AS next_request_at,
       CASE WHEN p.is_paused THEN b.paused_until END AS paused_until,
       CASE WHEN p.is_paused THEN b.pause_reason END AS pause_reason
FROM unnest(CAST(:sources AS text[]), CAST(:providers AS text[])) WITH ORDINALITY
     AS s (source, provider, place)
CROSS JOIN (
  SELECT CAST(date_trunc('month', now() AT TIME ZONE 'UTC') AS date) AS month
) AS this
LEFT JOIN LATERAL (
  SELECT started_at FROM runs
  WHERE source >= s.source AND source <= s.source AND command = 'run'
  ORDER BY source DESC, id DESC LIMIT 1
) AS last ON true
LEFT JOIN LATERAL (
  SELECT started_at FROM runs
  WHERE source >= s.source AND source <= s.source AND command = 'run' AND outcome = 'succeeded'
  ORDER BY source DESC, id DESC LIMIT 1
) AS good ON true
CROSS JOIN LATERAL (
  SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY recent.took) AS took
  FROM (
    SELECT finished_at - started_at AS took FROM runs
    WHERE source >= s.source AND source <= s.source AND command = 'run' AND outcome = 'succeeded'
    ORDER BY source DESC, id DESC LIMIT 20
  ) AS recent
) AS usual
LEFT JOIN checkpoints AS c ON c.source = s.source
LEFT JOIN request_budgets AS b ON b.source = s.provider
CROSS JOIN LATERAL (
  SELECT b.paused_until > now() AND b.paused_at <= now() + interval '1 minute' AS is_paused
) AS p
ORDER BY s.place
""")

BUDGET = ("requests_used", "renews_at", "next_request_at", "paused_until", "pause_reason")


def read_schedule(
    conn: Connection, sources: Sequence[str], settings: Settings
) -> list[dict[str, Any]]:
    """Return `next_run_at` and `budget` of each source; None if it has none."""
    providers = [PROVIDERS.get(source) for source in sources]
    parameters = {"sources": [*sources], "providers": providers}
    rows = [{**row} for row in conn.execute(SCHEDULE, parameters).mappings()]
    looped = [row for row in rows if row["source"] in settings.sources]
    next_runs = find_next_runs(looped, timedelta(seconds=settings.run_interval_seconds))
    return [
        {
            "next_run_at": next_runs.get(row["source"]),
            "budget": _budget(row, provider, settings) if provider else None,
        }
        for row, provider in zip(rows, providers, strict=True)
    ]


def find_next_runs(looped: Sequence[Mapping[str, Any]], interval: timedelta) -> dict[str, datetime]:
    """Estimate the next run of each source in the loop; empty if no loop is running.

    The worker does not store its plan, so the estimate uses the runs. A pass takes the interval
    plus the usual duration of all sources' runs. A loop without a new run for `MISSED_PASSES`
    passes is not running, even if a run of a killed worker is still `running`. An overdue source
    runs at once.
    """
    durations = (row["usually_takes"] or timedelta(0) for row in looped)
    pass_length = interval + sum(durations, timedelta())
    starts = [row["last_at"] for row in looped if row["last_at"] is not None]
    if not starts or looped[0]["now"] - max(starts) > MISSED_PASSES * pass_length:
        return {}
    return {row["source"]: _next_run(row, pass_length) for row in looped}


def _next_run(row: Mapping[str, Any], pass_length: timedelta) -> datetime:
    """Return when a source is due (see the worker's `read_due`), but not before a pause ends."""
    last_at, good_at = row["last_at"], row["good_at"]
    every = EXPECTATIONS[row["source"]].read_every
    times: list[datetime] = [row["now"]]
    if row["paused_until"] is not None:
        times.append(row["paused_until"])
    if last_at is not None:
        times.append(last_at + pass_length)
        if every is not None and not row["was_cleared"]:
            times += [last_at + AGAIN_AFTER, *([good_at + every] if good_at is not None else [])]
    return max(times)


def _budget(row: Mapping[str, Any], provider: str, settings: Settings) -> dict[str, Any]:
    allowed = settings.providers[provider]
    return {
        "provider": provider,
        "requests_per_month": allowed.requests_per_month,
        "requests_per_minute": allowed.requests_per_minute,
        **{name: row[name] for name in BUDGET},
    }
