-- An index of crowds, the symbols that so many listings share that no batch reads all of them. For each
-- listing, `crowd_keys` holds hashes of the keys by which it affects others, under its present and
-- former names (worker/identity/resolver/parts/keys.py). A symbol is in `crowds` only if `crowd_keys`
-- is complete for it.

-- name: find_new_crowds
-- Among the touched symbols. A crowd remains one, even if names are deleted.
SELECT t.symbol_key FROM (SELECT DISTINCT symbol_key FROM touched_keys WHERE symbol_key <> '') AS t
WHERE NOT EXISTS (SELECT FROM crowds AS c WHERE c.symbol_key = t.symbol_key)
  AND EXISTS (SELECT FROM listing_names AS n WHERE n.symbol_key = t.symbol_key OFFSET :most LIMIT 1)

-- name: read_labels_of_symbols
SELECT n.listing_id, l.source, l.external_id, l.delisted_at IS NOT NULL AS is_delisted,
       n.symbol, n.name,
       EXISTS (SELECT FROM listing_names AS o WHERE o.listing_id = n.listing_id
                 AND (o.symbol, o.name) <> (n.symbol, n.name)) AS is_renamed
FROM listing_names AS n JOIN listings AS l ON l.id = n.listing_id
WHERE n.symbol_key = ANY(CAST(:symbols AS text[]))

-- name: insert_sides
INSERT INTO crowds (symbol_key, side)
SELECT symbol_key, side
FROM unnest(CAST(:symbols AS text[]), CAST(:sides AS text[])) AS c (symbol_key, side)
ON CONFLICT DO NOTHING

-- name: insert_keys
INSERT INTO crowd_keys (key, listing_id)
SELECT key, listing_id
FROM unnest(CAST(:keys AS bigint[]), CAST(:ids AS integer[])) AS k (key, listing_id)
ON CONFLICT DO NOTHING

-- name: delete_index
DELETE FROM crowd_keys;
DELETE FROM crowds

-- name: has_crowds
SELECT EXISTS (SELECT FROM crowds)

-- name: read_sides
SELECT symbol_key, array_agg(side) AS sides FROM crowds
WHERE symbol_key = ANY(CAST(:symbols AS text[])) GROUP BY symbol_key

-- name: read_labels_of_block
-- Present and former labels of the listings in the block under the symbols of crowds.
SELECT n.listing_id, l.source, l.external_id, l.delisted_at IS NOT NULL AS is_delisted,
       n.symbol, n.name, n.is_renamed
FROM block AS b
CROSS JOIN LATERAL (
  SELECT *, count(*) OVER () > 1 AS is_renamed FROM listing_names
  WHERE listing_id = b.listing_id OFFSET 0
) AS n
CROSS JOIN LATERAL (SELECT * FROM listings WHERE id = b.listing_id OFFSET 0) AS l
WHERE n.symbol_key IN (SELECT symbol_key FROM crowds)

-- name: add_holders
-- All listings that have one of the keys.
INSERT INTO block
SELECT DISTINCT k.listing_id
FROM unnest(CAST(:keys AS bigint[])) AS asked (key)
CROSS JOIN LATERAL (SELECT listing_id FROM crowd_keys WHERE key = asked.key OFFSET 0) AS k
WHERE k.listing_id NOT IN (SELECT listing_id FROM block)

-- name: add_listings_of_symbols
INSERT INTO block
SELECT DISTINCT listing_id FROM listing_names
WHERE symbol_key = ANY(CAST(:symbols AS text[]))
  AND listing_id NOT IN (SELECT listing_id FROM block)

-- name: add_linked
-- Listings that are one asset with a listing in the block, or were compared with one.
INSERT INTO block
SELECT near.id FROM (
  SELECT o.id FROM block AS b
  CROSS JOIN LATERAL (SELECT asset_id FROM listings WHERE id = b.listing_id OFFSET 0) AS l
  CROSS JOIN LATERAL (SELECT id FROM listings WHERE asset_id = l.asset_id OFFSET 0) AS o
  UNION
  SELECT p.id FROM block AS b
  CROSS JOIN LATERAL (
    SELECT other_listing_id AS id FROM compared_pairs WHERE listing_id = b.listing_id
    UNION ALL
    SELECT listing_id FROM compared_pairs WHERE other_listing_id = b.listing_id
    OFFSET 0
  ) AS p
) AS near
WHERE near.id NOT IN (SELECT listing_id FROM block)

-- name: read_witnesses
-- For each key, the first listings outside the block that have it, are listed and have no ruling.
SELECT asked.key, w.*
FROM unnest(CAST(:keys AS bigint[])) AS asked (key)
CROSS JOIN LATERAL (
  SELECT l.id AS listing_id, l.source, l.external_id, l.symbol, l.name, l.observed_at,
         (SELECT min(first_observed_at) FROM listing_names WHERE listing_id = l.id) AS since
  FROM (SELECT listing_id FROM crowd_keys WHERE key = asked.key ORDER BY listing_id) AS k
  CROSS JOIN LATERAL (
    SELECT * FROM listings WHERE id = k.listing_id AND delisted_at IS NULL OFFSET 0
  ) AS l
  -- Each is looked up by its key: Postgres could read an anti-join as a whole for every key.
  WHERE k.listing_id NOT IN (SELECT listing_id FROM block)
    AND (SELECT true FROM pending_ids
         WHERE source = l.source AND external_id = l.external_id) IS NULL
    AND (SELECT true FROM crosswalk
         WHERE source = l.source AND external_id = l.external_id) IS NULL
    AND (SELECT true FROM corrections
         WHERE source = l.source AND external_id = l.external_id LIMIT 1) IS NULL
    AND (SELECT true FROM corrections
         WHERE other_source = l.source AND other_external_id = l.external_id LIMIT 1) IS NULL
  ORDER BY k.listing_id
  LIMIT :most
) AS w

-- name: read_delisted
-- The earliest last observation of the delisted listings of each key. A listing that is listed again
-- keeps the key.
SELECT asked.key, min(l.observed_at) AS observed_at
FROM unnest(CAST(:keys AS bigint[])) AS asked (key)
CROSS JOIN LATERAL (SELECT listing_id FROM crowd_keys WHERE key = asked.key OFFSET 0) AS k
CROSS JOIN LATERAL (
  SELECT observed_at FROM listings
  WHERE id = k.listing_id AND delisted_at IS NOT NULL OFFSET 0
) AS l
GROUP BY asked.key
