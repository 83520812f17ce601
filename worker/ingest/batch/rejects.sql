-- Drop payloads of refused records.

-- name: drop_excess
-- Candidates are the payloads that were seen only by this run and by the interrupted runs that it
-- continues (`pass`). `:most`, less the open payloads of earlier runs with too many rejects, stay. They
-- are chosen by hash, so the choice does not depend on how many runs a snapshot took. The row of this
-- run counts the others, by reason without the value in it.
WITH pass AS (
  SELECT id FROM runs
  WHERE source = :source AND command = 'run' AND id <= :run_id
    AND id > coalesce((SELECT max(id) FROM runs
                       WHERE source = :source AND command = 'run' AND id < :run_id
                         AND (outcome = 'succeeded' OR reason = ANY(:judged))), 0)
), earlier AS (
  SELECT count(*) AS rejects
  FROM rejects AS r JOIN runs ON runs.id = r.first_run_id
  WHERE r.source = :source AND r.resolved_at IS NULL AND runs.command = 'run'
    AND (runs.reason = :refused OR runs.rejects_dropped > 0)
    AND r.first_run_id NOT IN (SELECT id FROM pass)
), excess AS (
  SELECT id FROM rejects
  WHERE source = :source AND resolved_at IS NULL
    AND first_run_id IN (SELECT id FROM pass) AND last_run_id IN (SELECT id FROM pass)
  ORDER BY payload_hash OFFSET greatest(:most - (SELECT rejects FROM earlier), 0)
), dropped AS (
  DELETE FROM rejects AS r USING excess AS e WHERE r.id = e.id RETURNING r.reasons, r.times_seen
), by_reason AS (
  SELECT {kind} AS reason, sum(times_seen) AS records
  FROM dropped CROSS JOIN jsonb_array_elements_text(reasons) AS reason
  GROUP BY 1
), ranked AS (
  SELECT CASE WHEN row_number() OVER (ORDER BY records DESC, reason) <= :named THEN reason
              ELSE 'other reasons' END AS reason, records
  FROM by_reason
), counted AS (
  SELECT jsonb_object_agg(reason, records) AS reasons
  FROM (SELECT reason, sum(records) AS records FROM ranked GROUP BY reason) AS each
)
UPDATE runs
SET rejects_dropped = (SELECT coalesce(sum(times_seen), 0) FROM dropped),
    rejects_dropped_reasons = coalesce((SELECT reasons FROM counted), '{{}}')
WHERE id = :run_id
RETURNING rejects_dropped
