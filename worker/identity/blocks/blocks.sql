-- Which listings are decided together, and their evidence for the resolver.

-- name: add_every_listing
INSERT INTO block SELECT id FROM listings;
ANALYZE block

-- name: add_touched
-- An empty symbol or name connects no listings, and neither does the symbol of a crowd. Listings with
-- an empty name are found by both.
INSERT INTO block
SELECT n.listing_id
FROM (SELECT DISTINCT symbol_key FROM touched_keys
      WHERE symbol_key <> '' AND symbol_key NOT IN (SELECT symbol_key FROM crowds)) AS t
JOIN listing_names AS n USING (symbol_key)
UNION
SELECT l.id FROM (SELECT DISTINCT name_key FROM touched_keys WHERE name_key <> '') AS t
JOIN listings AS l USING (name_key)
UNION
SELECT l.id FROM touched_keys AS t
JOIN listings AS l USING (name_key, symbol_key) WHERE t.name_key = ''

-- name: add_connected
-- Each present or former symbol, name, contract and crosswalk asset of the block is looked up once,
-- however many listings have it.
INSERT INTO block
WITH of_block AS MATERIALIZED (
  SELECT l.id, l.source, l.external_id, l.name_key FROM {listings_of_block}
), connected AS (
  SELECT d.source, d.external_id
  FROM (SELECT DISTINCT c.chain, c.address
        FROM of_block AS k JOIN contracts AS c USING (source, external_id)) AS own
  JOIN contracts AS d USING (chain, address)
  UNION
  SELECT d.source, d.external_id
  FROM (SELECT DISTINCT c.asset
        FROM of_block AS k JOIN crosswalk AS c USING (source, external_id)) AS own
  JOIN crosswalk AS d USING (asset)
  UNION
  SELECT c.other_source, c.other_external_id
  FROM of_block AS k JOIN corrections AS c USING (source, external_id) WHERE c.revoked_at IS NULL
  UNION
  SELECT c.source, c.external_id
  FROM of_block AS k
  JOIN corrections AS c ON c.other_source = k.source AND c.other_external_id = k.external_id
  WHERE c.revoked_at IS NULL
)
SELECT near.id FROM (
  SELECT n.listing_id AS id
  FROM (SELECT DISTINCT c.symbol_key
        FROM of_block AS k JOIN listing_names AS c ON c.listing_id = k.id
        WHERE c.symbol_key <> '' AND c.symbol_key NOT IN (SELECT symbol_key FROM crowds)) AS own
  CROSS JOIN LATERAL (
    SELECT listing_id FROM listing_names WHERE symbol_key = own.symbol_key OFFSET 0
  ) AS n
  UNION
  SELECT n.id
  FROM (SELECT DISTINCT name_key FROM of_block WHERE name_key <> '') AS own
  CROSS JOIN LATERAL (SELECT id FROM listings WHERE name_key = own.name_key OFFSET 0) AS n
  UNION
  SELECT n.id FROM connected JOIN listings AS n USING (source, external_id)
) AS near
WHERE near.id NOT IN (SELECT listing_id FROM block)

-- name: read_candidates
-- In the order of `Candidate`.
SELECT l.id AS listing_id, l.source, l.external_id, l.symbol, l.name, l.observed_at, l.price_usd,
       l.market_cap_usd, l.circulating_supply, l.total_supply, l.max_supply,
       ARRAY(SELECT ARRAY[chain, address] FROM contracts AS c
             WHERE c.source = l.source AND c.external_id = l.external_id) AS contracts,
       ARRAY(SELECT ARRAY[n.symbol, n.name,
                          (extract(epoch FROM n.first_observed_at) * 1000000)::bigint::text]
             FROM listing_names AS n WHERE n.listing_id = l.id) AS names,
       EXISTS (SELECT FROM pending_ids AS p
               WHERE p.source = l.source AND p.external_id = l.external_id) AS is_pending,
       l.delisted_at IS NOT NULL AS is_delisted
FROM {listings_of_block}

-- name: read_corrections
SELECT c.* FROM corrections AS c
WHERE c.revoked_at IS NULL
  AND EXISTS (SELECT FROM block AS b JOIN listings AS l ON l.id = b.listing_id
              WHERE l.source = c.source AND l.external_id = c.external_id)
ORDER BY c.id

-- name: read_crosswalk
SELECT c.* FROM {listings_of_block}
JOIN crosswalk AS c ON c.source = l.source AND c.external_id = l.external_id
ORDER BY c.source, c.external_id
