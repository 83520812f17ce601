-- What of a batch is stored: the records that were not known, and the order in which those of one
-- instant were received. `{raw}` is the source's raw table, `{values}` the value columns, `{known}`
-- what is known of an instant (receiving.py).

-- name: insert_raw
-- `told` are the hashes that the batch has of an instant, in the order of their last receipt, and
-- `known` those that are stored. What the batch repeats of the last ones changes nothing: nearly
-- always that is one record, for which this costs a look-up in the key. Any other record prevails from
-- now on: a new one is inserted, a known one gets a new place in the order. No other session writes to
-- this source, so what is not there is not on its way either.
WITH received AS MATERIALIZED (
  SELECT *, count(*) OVER instant AS size, row_number() OVER instant AS nth,
         array_agg(payload_hash) OVER (instant ROWS BETWEEN UNBOUNDED PRECEDING
                                                        AND UNBOUNDED FOLLOWING) AS told
  FROM (
    SELECT DISTINCT ON (observed_at, external_id, payload_hash) *
    FROM (
      SELECT *, substr(sha256(convert_to(payload::text, 'UTF8')), 1, 16) AS payload_hash
      FROM staging OFFSET 0  -- so that each hash is worked out once
    ) AS hashed
    ORDER BY observed_at, external_id, payload_hash, place DESC
  ) AS last_received
  WINDOW instant AS (PARTITION BY observed_at, external_id ORDER BY place)
), written AS MATERIALIZED (
  SELECT f.*, coalesce(k.newest, -1) + f.nth AS revision,
         coalesce(f.payload_hash = ANY(k.hashes), false) AS is_returned,
         k.run_ids[array_position(k.hashes, f.payload_hash)] AS known_run_id
  FROM received AS f
  LEFT JOIN LATERAL (
    SELECT array_agg(r.payload_hash ORDER BY r.revision) AS hashes,
           array_agg(r.run_id ORDER BY r.revision) AS run_ids, max(r.revision) AS newest,
           count(*) AS size
    FROM {known}
  ) AS k ON true
  WHERE k.hashes IS NULL
     OR NOT (k.hashes[k.size - f.size + 1:] = f.told
             OR f.nth = 1 AND f.payload_hash = k.hashes[k.size])
), added AS (
  INSERT INTO {raw} (observed_at, external_id, payload_hash, revision, run_id, payload)
  SELECT observed_at, external_id, payload_hash, revision, :run_id, payload
  FROM written WHERE NOT is_returned
), returned AS (
  UPDATE {raw} AS r SET revision = w.revision, returned_at = now()
  FROM written AS w
  WHERE w.is_returned AND r.observed_at = w.observed_at AND r.external_id = w.external_id
    AND r.payload_hash = w.payload_hash
    AND r.observed_at >= CAST(:start AS timestamptz) AND r.observed_at < CAST(:end AS timestamptz)
), noted AS (
  INSERT INTO fresh
  SELECT external_id, observed_at, payload_hash, revision, is_returned,
         coalesce(known_run_id, :run_id), symbol, name, symbol_key, name_key, {values}
  FROM written
)
-- A record that follows another of its instant is a revision, new or not.
SELECT count(*) FILTER (WHERE NOT is_returned) AS new, count(*) FILTER (WHERE revision > 0) AS revised
FROM written
