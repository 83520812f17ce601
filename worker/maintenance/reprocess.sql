-- Rebuilds tables from raw records. `{raw}` is the source's raw table.

-- name: read_newest_raw
-- The newest raw record of each listing of a batch. The hash is null if the record was pruned; such
-- a listing stays as it is.
SELECT r.observed_at, r.external_id, r.payload_hash, r.superseded_at, r.run_id,
       r.payload::text AS payload, l.id
FROM (SELECT * FROM listings WHERE source = :source AND id > :after ORDER BY id LIMIT :limit) AS l
LEFT JOIN LATERAL (
  SELECT observed_at, payload_hash FROM observations
  WHERE listing_id = l.id AND superseded_at IS NULL ORDER BY observed_at DESC LIMIT 1
) AS o ON true
LEFT JOIN {raw} AS r ON r.external_id = l.external_id AND r.observed_at = o.observed_at
                    AND r.payload_hash = o.payload_hash
ORDER BY l.id

-- name: rebuild_observations
INSERT INTO observations AS o (listing_id, observed_at, ingested_at, payload_hash, superseded_at,
                               superseded_before, run_id, {values})
SELECT n.listing_id, f.observed_at, r.ingested_at, f.payload_hash, r.superseded_at,
       r.superseded_before, f.run_id, {f_values}
FROM fresh AS f
JOIN newest AS n USING (external_id)
JOIN {raw} AS r ON r.external_id = f.external_id AND r.observed_at = f.observed_at
               AND r.payload_hash = f.payload_hash
ON CONFLICT (listing_id, observed_at, payload_hash) DO UPDATE
SET superseded_at = excluded.superseded_at, superseded_before = excluded.superseded_before,
    run_id = excluded.run_id, ingested_at = excluded.ingested_at, {set_excluded}
WHERE (o.superseded_at, o.superseded_before, o.run_id, o.ingested_at, {o_values})
      IS DISTINCT FROM (excluded.superseded_at, excluded.superseded_before, excluded.run_id,
                        excluded.ingested_at, {excluded_values})

-- name: delete_unfounded_observations
-- Observations without a raw record, unless that was pruned.
DELETE FROM observations AS o
USING listings AS l
WHERE l.id = o.listing_id AND l.source = :source
  AND NOT EXISTS (SELECT FROM {raw} AS r
                  WHERE r.external_id = l.external_id AND r.observed_at = o.observed_at
                    AND r.payload_hash = o.payload_hash)
  AND NOT {o_is_pruned}

-- name: delete_unobserved_listings
DELETE FROM listings AS l
WHERE l.source = :source AND NOT EXISTS (SELECT FROM observations WHERE listing_id = l.id)

-- name: delete_unfounded_matches
DELETE FROM matches AS m
WHERE NOT EXISTS (SELECT FROM listings WHERE id = m.listing_id)
   OR NOT EXISTS (SELECT FROM listings WHERE id = m.other_listing_id)

-- name: find_all_assets
SELECT id FROM assets

-- name: delete_empty_assets
DELETE FROM assets AS a WHERE NOT EXISTS (SELECT FROM listings WHERE asset_id = a.id)
