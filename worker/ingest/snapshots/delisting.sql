-- Listings that their source no longer lists, according to whole snapshots or to a person's decision.

-- name: count_snapshot
UPDATE checkpoints SET snapshots = snapshots + 1, snapshot_at = :at WHERE source = :source
RETURNING snapshots

-- name: note_absences
-- Only changes are written. The absence of a listing that returns before it was delisted is deleted. A
-- pending id was in no successful snapshot; the first one without it shows that the id was a mistake,
-- so it is delisted at once.
WITH seen AS MATERIALIZED (
  SELECT DISTINCT unnest(external_ids) AS external_id FROM snapshot_pages
  WHERE source = :source AND seen
), absent AS MATERIALIZED (
  SELECT l.external_id, p.external_id IS NOT NULL AS is_pending
  FROM listings AS l
  LEFT JOIN pending_ids AS p ON p.source = l.source AND p.external_id = l.external_id
  WHERE l.source = :source
    AND NOT EXISTS (SELECT FROM seen AS s WHERE s.external_id = l.external_id)
), ended AS (
  DELETE FROM absences AS a USING seen AS s
  WHERE a.source = :source AND a.external_id = s.external_id
    AND a.returned_at IS NULL AND a.delisted_at IS NULL
), returned AS (
  UPDATE absences AS a SET returned_at = :at FROM seen AS s
  WHERE a.source = :source AND a.external_id = s.external_id
    AND a.returned_at IS NULL AND a.delisted_at IS NOT NULL
), delisted AS (
  UPDATE absences AS a SET delisted_at = :at FROM absent AS l
  WHERE a.source = :source AND a.external_id = l.external_id
    AND a.returned_at IS NULL AND a.delisted_at IS NULL
    AND :snapshot - a.snapshot + 1 >= :snapshots AND a.absent_since <= :at - CAST(:within AS interval)
)
INSERT INTO absences (source, external_id, absent_since, snapshot, delisted_at)
SELECT :source, external_id, :at, :snapshot,
       CASE WHEN is_pending THEN CAST(:at AS timestamptz) END
FROM absent AS l
WHERE NOT EXISTS (SELECT FROM absences AS a WHERE a.source = :source
                    AND a.external_id = l.external_id AND a.returned_at IS NULL)

-- name: mark_listings
-- Set since when each listing of a source is delisted. Returns the listings that changed.
UPDATE listings AS l SET delisted_at = d.delisted_at
FROM ({delisted_since}) AS d
WHERE l.id = d.id AND l.source = :source AND l.delisted_at IS DISTINCT FROM d.delisted_at
RETURNING l.source, l.external_id, l.asset_id, l.delisted_at IS NOT NULL AS is_gone
