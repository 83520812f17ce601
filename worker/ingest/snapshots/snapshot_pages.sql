-- The ids on the pages of a snapshot.

-- name: begin_snapshot
UPDATE snapshot_pages SET seen = false WHERE source = :source AND seen

-- name: note_page
INSERT INTO snapshot_pages AS p (source, page, part, external_ids, seen)
VALUES (:source, :page, :part, CAST(:external_ids AS text[]), true)
ON CONFLICT (source, page, part) DO UPDATE
SET seen = true, external_ids = excluded.external_ids

-- name: delete_further_parts
-- A page that was read again may have fewer parts than before.
DELETE FROM snapshot_pages WHERE source = :source AND page = :page AND part > :part

-- name: note_unmodified_page
UPDATE snapshot_pages SET seen = true WHERE source = :source AND page = :page
