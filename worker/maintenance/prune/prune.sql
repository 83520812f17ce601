-- Deletes old raw records. `{raw}` is the source's raw table, `{partition}` one of its partitions.

-- name: measure_partition
SELECT count(*) AS records, min(observed_at) AS earliest, max(observed_at) AS latest,
       pg_total_relation_size(CAST('{partition}' AS regclass)) AS bytes
FROM {partition}

-- name: read_partition
-- The payload as text, which is what was hashed.
SELECT external_id, observed_at, payload_hash, run_id, ingested_at, payload::text AS payload
FROM {partition} ORDER BY observed_at, external_id, payload_hash

-- name: set_timeout
-- Dropping a partition locks its table for a moment; readers wait no longer than this. The drop is
-- retried instead of using DETACH ... CONCURRENTLY, which cannot run in a transaction: the drop and
-- its row in pruned_partitions must commit together.
SET LOCAL lock_timeout = '200ms'

-- name: record_partition
INSERT INTO pruned_partitions (source, partition, observed_from, observed_until, records, archive,
                               digest)
VALUES (:source, '{partition}', :observed_from, :observed_until, :records, :archive, :digest)
RETURNING id

-- name: record_runs
INSERT INTO pruned_runs (pruned_id, run_id, records)
SELECT :pruned_id, run_id, count(*) FROM {partition} GROUP BY run_id

-- name: drop_partition
DROP TABLE {partition}
