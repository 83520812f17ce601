-- name: count_shapes
-- Add the shapes of one batch, in its transaction. Imports are counted separately from a source's own
-- runs. The path '' has the number of all records before the batch. For a type that the previous run
-- did not have, counting starts again: `records_since` counts the records from `records_before` on.
WITH run AS (SELECT command FROM runs WHERE id = :run_id),
source AS (
  SELECT coalesce(max(records), 0) AS records, max(last_run_id) AS last_run_id
  FROM shapes WHERE source = :source AND command = (SELECT command FROM run)
                AND family = :family AND path = ''
)
INSERT INTO shapes AS s (source, command, family, path, type, records, last_run_records,
                         first_run_id, last_run_id, records_since, records_before, records_until,
                         example)
SELECT :source, run.command, :family, found.path, found.type, found.records, found.records, :run_id,
       :run_id, found.records, source.records, source.records + :records, found.example
FROM run, source, jsonb_to_recordset(CAST(:shapes AS jsonb))
       AS found (path text, type text, records bigint, example jsonb)
ON CONFLICT (source, command, family, path, type) DO UPDATE
SET records = s.records + excluded.records,
    last_run_records = excluded.last_run_records
      + CASE WHEN s.last_run_id = excluded.last_run_id THEN s.last_run_records ELSE 0 END,
    (records_since, records_before) = (
      SELECT CASE WHEN is_restart THEN excluded.records_since
                  ELSE s.records_since + excluded.records_since END,
             CASE WHEN is_restart THEN excluded.records_before ELSE s.records_before END
      FROM (
        SELECT s.last_run_id < last_run_id AND last_run_id < excluded.last_run_id AS is_restart
        FROM source
      ) AS gap
    ),
    last_run_id = excluded.last_run_id,
    records_until = excluded.records_until,
    example = excluded.example,
    last_seen_at = now()

-- name: read_baseline
-- The first completed run with enough records, whose shapes are the normal ones; and whether any such
-- run was one of the source's own, not an import.
SELECT min(id) AS baseline,
       coalesce(bool_or(command = 'run'), false) AS has_runs
FROM runs
WHERE source = :source AND id < :run_id AND command <> 'retry' AND records_fetched >= :fewest
  AND (outcome = 'succeeded' OR reason = ANY(:judged))
  AND id >= (SELECT min(first_run_id) FROM shapes
             WHERE source = :source AND family = :family AND path = '')

-- name: read_families
-- The families of a run's records; a run without records has none.
SELECT DISTINCT family FROM shapes
WHERE source = :source AND last_run_id = :run_id AND path = '' ORDER BY family

-- name: delete_oldest_families
-- Delete all but the families that runs saw last. Their acknowledged entries in the ledger are deleted
-- too; open entries stay.
WITH gone AS (
  SELECT family FROM shapes WHERE source = :source
  GROUP BY family ORDER BY max(last_run_id) DESC, family OFFSET :most
), deleted AS (
  DELETE FROM shapes AS s USING gone WHERE s.source = :source AND s.family = gone.family
)
DELETE FROM drift AS d USING gone
WHERE d.source = :source AND d.acknowledged_at IS NOT NULL
  AND starts_with(d.path, gone.family || ': ')

-- name: read_type_counts
-- Each type at each path: the first run with it, and the counts of runs with the command of this run.
SELECT path, type, min(first_run_id) AS first_run_id,
       coalesce(max(records_since) FILTER (WHERE same), 0) AS records,
       coalesce(max(last_run_records) FILTER (WHERE same AND last_run_id = :run_id), 0)
         AS run_records,
       coalesce(max(last_run_id) FILTER (WHERE same), 0) AS last_run_id,
       coalesce(max(records_before) FILTER (WHERE same), 0) AS records_before,
       coalesce(max(records_until) FILTER (WHERE same), 0) AS records_until,
       (array_agg(example ORDER BY same DESC))[1] AS example
FROM (SELECT *, command = (SELECT command FROM runs WHERE id = :run_id) AS same FROM shapes) AS s
WHERE source = :source AND family = :family
GROUP BY path, type

-- name: read_drift
-- The rows are locked until the transaction ends, so that none is acknowledged while it changes.
SELECT path, kind, detail, records, share, example, last_run_id,
       acknowledged_at IS NOT NULL AS acknowledged
FROM drift WHERE source = :source FOR UPDATE

-- name: read_before_and_after
-- The raw records of some listings in this run, and in the last run before it.
SELECT before.payload::text AS before, after.payload::text AS after
FROM (
  SELECT * FROM listings WHERE source = :source AND run_id = :run_id
  ORDER BY external_id LIMIT :listings
) AS l
CROSS JOIN LATERAL (
  SELECT observed_at, payload_hash FROM observations
  WHERE listing_id = l.id AND run_id < :run_id
  ORDER BY observed_at DESC, superseded_at DESC NULLS FIRST LIMIT 1
) AS o
JOIN {raw} AS after ON after.observed_at = l.observed_at AND after.external_id = l.external_id
                   AND after.payload_hash = l.payload_hash
JOIN {raw} AS before ON before.observed_at = o.observed_at AND before.external_id = l.external_id
                    AND before.payload_hash = o.payload_hash

-- name: upsert_drift
-- If the raw record of an example is stored, the example gets its `payload_hash`, which completes the
-- record's key.
INSERT INTO drift AS d (source, path, kind, detail, first_run_id, last_run_id, records, share,
                        example, acknowledged_at)
SELECT :source, found.path, found.kind, found.detail, coalesce(found.since, :run_id), :run_id,
       found.records, found.share,
       found.example || coalesce(stored.key, '{{}}'),
       CASE WHEN found.acknowledged THEN now() END
FROM jsonb_to_recordset(CAST(:found AS jsonb))
       AS found (path text, kind text, detail jsonb, records bigint, share numeric, example jsonb,
                 since integer, acknowledged boolean)
LEFT JOIN LATERAL (
  SELECT jsonb_build_object('payload_hash', encode(payload_hash, 'hex')) AS key
  FROM {raw} AS r
  WHERE r.observed_at = CAST(found.example ->> 'observed_at' AS timestamptz)
    AND r.external_id = found.example ->> 'external_id'
  ORDER BY {received_last_first} LIMIT 1
) AS stored ON true
ON CONFLICT (source, path, kind) DO UPDATE
SET detail = excluded.detail, last_run_id = excluded.last_run_id, records = excluded.records,
    share = excluded.share, example = excluded.example, last_seen_at = now(),
    acknowledged_at = CASE WHEN excluded.acknowledged_at IS NOT NULL
                           THEN coalesce(d.acknowledged_at, excluded.acknowledged_at) END
