-- Digests by which the newest records of listings are recognised. `received_digest` has 16 bytes of
-- the SHA-256 of the record as received, 8 bytes of its shape, and 8 of the code that read it.

-- name: read_newest
-- NOT IN instead of a join: the few pending ids are read once.
SELECT encode(received_digest, 'hex'), external_id FROM listings
WHERE source = :source AND received_digest IS NOT NULL AND observed_at <= :started
  AND external_id NOT IN (SELECT external_id FROM pending_ids WHERE source = :source)

-- name: update_digests
-- Update the digests of listings whose newest record was staged again with another digest. Of several
-- records of one instant, the one received last is the newest. Listings that another session has locked
-- are skipped until the next run: that session may wait for rows that this transaction has locked.
WITH newest_staged AS (
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
UPDATE listings AS l SET received_digest = s.received_digest
FROM newest_staged AS s WHERE l.id = s.id
