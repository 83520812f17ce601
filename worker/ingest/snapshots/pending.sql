-- Update the pending ids of a source after a whole snapshot.

-- name: hold_replaced_ids
INSERT INTO pending_ids (source, external_id)
SELECT n.source, n.external_id FROM listings AS n
WHERE n.source = :source AND n.created_at >= :since
  AND EXISTS (
    SELECT FROM listings AS l
    WHERE l.source = n.source AND l.name_key = n.name_key AND l.symbol_key = n.symbol_key
      AND l.created_at < :since)
ON CONFLICT DO NOTHING
RETURNING external_id

-- name: release_seen_ids
WITH held AS (
  SELECT p.external_id, count(*) OVER () AS ids
  FROM pending_ids AS p
  WHERE p.source = :source AND p.external_id IN (
    SELECT unnest(external_ids) FROM snapshot_pages WHERE source = :source AND seen)
)
DELETE FROM pending_ids AS p
USING held AS h
WHERE p.source = :source AND p.external_id = h.external_id
  AND (h.ids < :fewest OR 2 * h.ids <= :records)
RETURNING p.external_id
