-- By what the newest records of listings are recognised when they come again: `received_digest` has
-- 16 bytes of the SHA-256 of the record as received, 8 of its shape, and 8 of how it was read.

-- name: read_newest
-- Not by a join: the few pending ids are read once.
SELECT encode(received_digest, 'hex'), external_id FROM listings
WHERE source = :source AND received_digest IS NOT NULL AND observed_at <= :started
  AND external_id NOT IN (SELECT external_id FROM pending_ids WHERE source = :source)

-- name: update_digests
-- Of records that were known: by what those that their listings show are recognised from now on. Of
-- one instant the one that was received last is shown. Listings that another session has in hand are
-- left to the next time, since this holds rows that it may wait for.
WITH shown AS (
  SELECT l.id, s.received_digest
  FROM (
    SELECT DISTINCT ON (external_id) external_id, observed_at, received_digest
    FROM staging ORDER BY external_id, observed_at DESC, place DESC
  ) AS s
  JOIN listings AS l ON l.source = :source AND l.external_id = s.external_id
                    AND l.observed_at = s.observed_at
  WHERE s.received_digest IS NOT NULL AND l.received_digest IS DISTINCT FROM s.received_digest
  FOR NO KEY UPDATE OF l SKIP LOCKED
)
UPDATE listings AS l SET received_digest = shown.received_digest FROM shown WHERE l.id = shown.id
