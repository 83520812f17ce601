-- Which listings are one asset. The result depends on the set of listings alone, never on the order
-- in which they came: it is worked out anew for every symbol and name that a batch touches.

-- name: create_touched_keys
CREATE TEMPORARY TABLE IF NOT EXISTS touched_keys (
  symbol_key text NOT NULL,
  name_key text NOT NULL
) ON COMMIT DELETE ROWS

-- name: touch_every_key
INSERT INTO touched_keys SELECT DISTINCT symbol_key, name_key FROM listings;
ANALYZE touched_keys

-- name: create_decisions
CREATE TEMPORARY TABLE IF NOT EXISTS decisions (
  listing_id integer NOT NULL,
  cluster text NOT NULL,
  from_asset_id integer NOT NULL,
  to_asset_id integer,
  method text NOT NULL,
  score numeric NOT NULL,
  evidence jsonb NOT NULL
) ON COMMIT DELETE ROWS

-- name: decide
-- Listings of different sources are linked when symbol and name agree and each source has just one
-- listing under them; any other listing is an asset of its own. Of CSV files, each declared namespace
-- counts as a source. An asset that listings leave stays with the first of them by source and id; a
-- cluster that holds several keeps the oldest. No key holds a line feed.
--
-- Window functions instead of joins among the steps: nothing is known of their sizes beforehand, and
-- a plan made for few rows would take hours for many.
WITH members AS (
  SELECT l.id, l.asset_id, l.source, l.external_id, l.symbol_key, l.name_key,
         count(*) OVER (
           PARTITION BY l.name_key, l.symbol_key, l.source,
                        CASE WHEN l.source = 'csv' AND strpos(l.external_id, ':') > 0
                             THEN split_part(l.external_id, ':', 1) END
         ) AS namesakes
  FROM listings AS l JOIN touched_keys USING (name_key, symbol_key)
), clustered AS (
  SELECT *, CASE WHEN namesakes = 1 AND symbol_key <> '' AND name_key <> ''
                 THEN symbol_key || E'\n' || name_key ELSE 'listing ' || id END AS cluster
  FROM members
), owned AS (
  SELECT *, first_value(cluster) OVER (PARTITION BY asset_id ORDER BY source, external_id)
            AS owner
  FROM clustered
), settled AS (
  SELECT *, min(asset_id) FILTER (WHERE owner = cluster) OVER of_cluster AS to_asset_id,
         count(*) OVER of_cluster AS size,
         jsonb_agg(source || ':' || external_id) OVER (
           of_cluster ORDER BY source, external_id
           ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
         ) AS listings
  FROM owned
  WINDOW of_cluster AS (PARTITION BY cluster)
)
INSERT INTO decisions
SELECT id, cluster, asset_id, to_asset_id,
       CASE WHEN size > 1 THEN 'symbol_and_name' ELSE 'own' END,
       CASE WHEN size > 1 THEN CAST(:link_score AS numeric) ELSE 1 END,
       CASE WHEN size > 1
              THEN jsonb_build_object('symbol', symbol_key, 'name', name_key,
                                      'listings', listings)
            WHEN namesakes > 1
              THEN jsonb_build_object('symbol', symbol_key, 'name', name_key,
                                      'namesakes_at_source', namesakes)
            ELSE '{{}}' END
FROM settled

-- name: number_new_assets
-- A cluster that owns no asset gets one.
UPDATE decisions AS d SET to_asset_id = n.asset_id
FROM (SELECT cluster, nextval(pg_get_serial_sequence('assets', 'id')) AS asset_id
      FROM (SELECT DISTINCT cluster FROM decisions WHERE to_asset_id IS NULL) AS c) AS n
WHERE d.cluster = n.cluster AND d.to_asset_id IS NULL

-- name: insert_new_assets
INSERT INTO assets (id, slug, symbol, name) OVERRIDING SYSTEM VALUE
SELECT DISTINCT ON (d.to_asset_id) d.to_asset_id, '~' || d.to_asset_id, upper(l.symbol), l.name
FROM decisions AS d JOIN listings AS l ON l.id = d.listing_id
WHERE NOT EXISTS (SELECT FROM assets WHERE id = d.to_asset_id)
ORDER BY d.to_asset_id, l.source, l.external_id

-- name: record_events
INSERT INTO identity_events (run_id, listing_id, from_asset_id, to_asset_id, method, evidence)
SELECT :run_id, d.listing_id, d.from_asset_id, d.to_asset_id, d.method, d.evidence
FROM decisions AS d JOIN listings AS l ON l.id = d.listing_id
WHERE d.from_asset_id <> d.to_asset_id OR l.match_method <> d.method

-- name: move_listings
UPDATE listings AS l
SET asset_id = d.to_asset_id, match_method = d.method, match_score = d.score,
    match_evidence = d.evidence
FROM decisions AS d
WHERE l.id = d.listing_id
  AND (l.asset_id, l.match_method, l.match_evidence)
      IS DISTINCT FROM (d.to_asset_id, d.method, d.evidence)

-- name: find_moved_assets
SELECT from_asset_id AS id FROM decisions WHERE from_asset_id <> to_asset_id
UNION SELECT to_asset_id FROM decisions WHERE from_asset_id <> to_asset_id

-- name: delete_left_assets
DELETE FROM assets AS a
USING decisions AS d
WHERE a.id = d.from_asset_id AND d.from_asset_id <> d.to_asset_id
  AND NOT EXISTS (SELECT FROM listings WHERE asset_id = a.id)

-- name: find_nameless_assets
SELECT DISTINCT ON (a.id) a.id, l.name, l.external_id
FROM assets AS a JOIN listings AS l ON l.asset_id = a.id
WHERE a.id IN (SELECT to_asset_id FROM decisions) AND a.slug = '~' || a.id
ORDER BY a.id, l.source, l.external_id

-- name: give_slugs
-- A slug is given once and kept. The name makes it; where another asset has that one already, the
-- name and the asset's id do: "~" stands in no slug made from a name, so the two never clash.
WITH named AS (
  SELECT id, slug, row_number() OVER (PARTITION BY slug ORDER BY id) AS nth
  FROM unnest(CAST(:ids AS integer[]), CAST(:slugs AS text[])) AS n (id, slug)
)
UPDATE assets AS a
SET slug = CASE WHEN n.nth = 1 AND NOT EXISTS (SELECT FROM assets WHERE slug = n.slug)
                THEN n.slug ELSE n.slug || '~' || a.id END
FROM named AS n WHERE a.id = n.id
