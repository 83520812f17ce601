-- Store the new raw records of a batch, and which record of an instant was received last. `{raw}` is
-- the source's raw table, `{values}` the value columns, `{known}` the stored records of an instant
-- (receiving.py).

-- name: insert_raw
-- A stored record that prevails costs one lookup by key, and nothing is written. Of several records of
-- one instant in the batch, the one received last prevails; the others are only stored. The lock of the
-- source excludes other writers, so no record can be inserted between the lookup and the INSERT.
WITH received AS MATERIALIZED (
  SELECT *, place = max(place) OVER (PARTITION BY observed_at, external_id) AS is_last
  FROM (
    SELECT DISTINCT ON (observed_at, external_id, payload_hash) *
    FROM (
      SELECT *, substr(sha256(convert_to(payload::text, 'UTF8')), 1, 16) AS payload_hash
      FROM staging OFFSET 0  -- computes each hash once
    ) AS hashed
    ORDER BY observed_at, external_id, payload_hash, place DESC
  ) AS received_last
), written AS MATERIALIZED (
  SELECT f.*, coalesce(k.is_instant_known, false) AS is_instant_known,
         k.run_id AS known_run_id, k.run_id IS NOT NULL AS is_returned
  FROM received AS f
  LEFT JOIN LATERAL (
    SELECT count(*) > 0 AS is_instant_known,
           max(r.run_id) FILTER (WHERE r.payload_hash = f.payload_hash) AS run_id,
           coalesce(bool_or(r.payload_hash = f.payload_hash AND r.superseded_at IS NULL), false)
             AS prevails
    FROM {known}
  ) AS k ON true
  WHERE k.run_id IS NULL OR f.is_last AND NOT k.prevails
), revised AS (
  UPDATE {raw} AS r
  SET {raw_received}
  FROM written AS w
  WHERE w.is_last AND w.is_instant_known
    AND r.observed_at = w.observed_at AND r.external_id = w.external_id
    AND (r.superseded_at IS NULL OR r.payload_hash = w.payload_hash)
    AND r.observed_at >= CAST(:start AS timestamptz) AND r.observed_at < CAST(:end AS timestamptz)
), added AS (
  INSERT INTO {raw} (observed_at, external_id, payload_hash, superseded_at, run_id, payload)
  SELECT observed_at, external_id, payload_hash, CASE WHEN NOT is_last THEN now() END, :run_id,
         payload
  FROM written WHERE NOT is_returned
), given AS (
  INSERT INTO fresh
  SELECT external_id, observed_at, payload_hash, is_returned, is_last,
         coalesce(known_run_id, :run_id), symbol, name, symbol_key, name_key, {values},
         received_digest
  FROM written
)
SELECT count(*) FILTER (WHERE NOT is_returned) AS new,
       count(*) FILTER (WHERE is_last AND is_instant_known) AS revised
FROM written
