-- Each statement is a transaction of its own. Times are those of the server, one clock for all
-- processes. That clock may be set back. A pause that began more than a minute in the future is
-- ignored then. So is a next request more than a minute ahead, because every rate allows at least
-- one request a minute.

-- name: acquire
-- Count one request and set the time of the next, unless it is too early, a pause is active, or the
-- month's requests are used up. The last SELECT sees the row as it was before, which explains a
-- refusal. A new month starts at 0; a clock that was set back does not restart an old month.
WITH this AS (
  SELECT now() AS instant, CAST(date_trunc('month', now() AT TIME ZONE 'UTC') AS date) AS month
), acquired AS (
  INSERT INTO request_budgets AS b (source, month, requests, next_request_at, updated_at)
  SELECT :source, month, 1, instant + :gap * interval '1 second', instant FROM this
  ON CONFLICT (source) DO UPDATE
  SET month = greatest(b.month, excluded.month),
    requests = CASE WHEN b.month < excluded.month THEN 1 ELSE b.requests + 1 END,
    next_request_at = excluded.next_request_at,
    updated_at = excluded.updated_at
  WHERE (b.next_request_at <= excluded.updated_at
         OR b.next_request_at > excluded.updated_at + interval '61 seconds')
    AND (b.paused_until IS NULL OR b.paused_until <= excluded.updated_at
         OR b.paused_at > excluded.updated_at + interval '1 minute')
    AND (b.month < excluded.month OR b.requests < :budget)
  RETURNING source
), previous AS (
  SELECT b.*, b.paused_until > this.instant
              AND b.paused_at <= this.instant + interval '1 minute' AS is_paused
  FROM request_budgets AS b, this WHERE b.source = :source
)
SELECT
  EXISTS (SELECT FROM acquired) AS is_acquired,
  CASE WHEN b.month >= this.month THEN b.requests ELSE 0 END AS used,
  extract(epoch FROM CASE WHEN b.is_paused THEN greatest(b.paused_until, b.next_request_at)
                          ELSE b.next_request_at END - this.instant) AS wait,
  greatest(b.month, this.month) AS month,
  coalesce(b.is_paused, false) AS is_paused, b.paused_until, b.pause_reason, b.pause_said
FROM this LEFT JOIN previous AS b ON true

-- name: pause
-- Allow no request for some seconds; a longer pause stays. Release 0.1.0 only reads
-- `next_request_at`, so that is set too.
UPDATE request_budgets
SET next_request_at = now() + :seconds * interval '1 second',
    paused_at = now(), paused_until = now() + :seconds * interval '1 second',
    pause_reason = 'rate_limited', pause_said = :message, updated_at = now()
WHERE source = :source
  AND (paused_until IS NULL OR paused_until < now() + :seconds * interval '1 second'
       OR paused_at > now() + interval '1 minute')

-- name: back_off
-- Pause for `first` seconds after a 429 without a time. If only responses with 429 came since the
-- last pause, pause for twice its length, at most `longest`. An active pause stays. Returns the
-- seconds.
UPDATE request_budgets AS b
SET next_request_at = now() + p.pause, paused_at = now(), paused_until = now() + p.pause,
    pause_reason = 'rate_limited', pause_said = :message, updated_at = now()
FROM (
  SELECT least(:longest * interval '1 second',
               greatest(:first * interval '1 second', 2 * (paused_until - paused_at))) AS pause
  FROM request_budgets WHERE source = :source
) AS p
WHERE b.source = :source
  AND (b.paused_until IS NULL OR b.paused_until <= now()
       OR b.paused_at > now() + interval '1 minute')
RETURNING extract(epoch FROM p.pause) AS seconds

-- name: reset_backoff
-- After a response other than 429, a pause that has ended no longer makes the next one longer.
UPDATE request_budgets
SET paused_at = NULL, paused_until = NULL, pause_reason = NULL, pause_said = NULL
WHERE source = :source AND paused_until <= now()

-- name: pause_until_next_month
UPDATE request_budgets
SET next_request_at = renews_at, paused_at = now(), paused_until = renews_at,
    pause_reason = 'budget_spent', pause_said = :message, updated_at = now()
FROM (
  SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC'
) AS next_month (renews_at)
WHERE source = :source

-- name: lift_pause
-- Allow requests at once. A month in the future was counted by a wrong clock, and is corrected.
UPDATE request_budgets
SET paused_at = NULL, paused_until = NULL, pause_reason = NULL, pause_said = NULL,
    next_request_at = now(), updated_at = now(),
    requests = CASE WHEN month > now() AT TIME ZONE 'UTC' THEN 0 ELSE requests END,
    month = least(month, CAST(date_trunc('month', now() AT TIME ZONE 'UTC') AS date))
WHERE source = :source

-- name: read_usage
-- The requests of each source's provider this month, the usual requests of a run, and the requests a
-- second over the last day. That rate covers at least an hour, so that one manual run does not count
-- as a rate.
WITH this AS (
  SELECT now() AS instant, CAST(date_trunc('month', now() AT TIME ZONE 'UTC') AS date) AS month
)
SELECT
  s.source,
  s.provider,
  s.budget,
  CASE WHEN b.month >= this.month THEN b.requests ELSE 0 END AS used,
  this.instant,
  CAST(greatest(b.month, this.month) + interval '1 month' AS timestamp) AT TIME ZONE 'UTC'
    AS renews_at,
  b.updated_at AS last_at,
  b.next_request_at,
  CASE WHEN b.paused_until > this.instant AND b.paused_at <= this.instant + interval '1 minute'
       THEN b.paused_until END AS paused_until,
  b.pause_reason,
  b.pause_said,
  (
    SELECT ceil(avg(r.requests)) FROM (
      SELECT requests FROM runs
      WHERE source = s.source AND command = 'run' AND outcome = 'succeeded' AND requests > 0
      ORDER BY id DESC LIMIT 10
    ) AS r
  ) AS requests_a_pass,
  (
    SELECT sum(r.requests)
      / greatest(extract(epoch FROM this.instant - min(r.started_at)), 3600)
    FROM runs AS r
    WHERE r.source = s.source AND r.requests > 0
      AND r.started_at > this.instant - interval '1 day'
  ) AS requests_a_second,
  (SELECT count(*) FROM listings AS l WHERE l.source = s.source) AS listings
FROM unnest(CAST(:sources AS text[]), CAST(:providers AS text[]), CAST(:budgets AS bigint[]))
     AS s (source, provider, budget)
CROSS JOIN this
LEFT JOIN request_budgets AS b ON b.source = s.provider
ORDER BY s.provider, s.source
