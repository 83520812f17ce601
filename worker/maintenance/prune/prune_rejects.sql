-- Deletes rejects that were last seen before the retention period.

-- name: measure_old
SELECT count(*) AS rejects, coalesce(sum(times_seen), 0) AS times_seen,
       coalesce(sum(octet_length(payload)), 0) AS bytes
FROM rejects WHERE source = :source AND last_seen_at < :before

-- name: read_old
SELECT {columns} FROM rejects WHERE source = :source AND last_seen_at < :before ORDER BY id

-- name: delete_old
WITH deleted AS (
  DELETE FROM rejects WHERE source = :source AND last_seen_at < :before RETURNING times_seen
)
INSERT INTO pruned_rejects (source, seen_before, rejects, times_seen, archive, digest)
SELECT :source, :before, count(*), sum(times_seen), :archive, :digest FROM deleted
HAVING count(*) > 0
RETURNING rejects
