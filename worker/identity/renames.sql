-- Present and former names of listings. `listing_names` depends only on the raw records: each symbol and
-- name of a listing, and its earliest time.

-- name: insert_names
-- From `fresh`, except for the present name at a later time, which is stored already. Returns the listings
-- that have another name, or a name from an earlier time.
WITH named AS (
  SELECT n.listing_id, f.symbol, f.name, f.symbol_key, min(f.observed_at) AS first_observed_at,
         bool_and(n.is_new AND (f.symbol, f.name) = (n.symbol, n.name)) AS is_only
  FROM fresh AS f JOIN newest AS n USING (external_id)
  WHERE n.is_new OR f.observed_at < n.old_observed_at
     OR (f.symbol, f.name) <> (n.old_symbol, n.old_name)
  GROUP BY n.listing_id, f.symbol, f.name, f.symbol_key
), inserted AS (
  INSERT INTO listing_names AS k (listing_id, symbol, name, symbol_key, first_observed_at)
  SELECT listing_id, symbol, name, symbol_key, first_observed_at FROM named
  ON CONFLICT (listing_id, symbol, name) DO UPDATE
  SET first_observed_at = excluded.first_observed_at
  WHERE excluded.first_observed_at < k.first_observed_at
  RETURNING listing_id, symbol, name
)
SELECT DISTINCT listing_id FROM inserted JOIN named USING (listing_id, symbol, name) WHERE NOT is_only

-- name: record_renames
WITH renamed AS (
  SELECT * FROM newest AS n
  WHERE n.is_newer AND NOT n.is_new AND (n.symbol, n.name) <> (n.old_symbol, n.old_name)
), recorded AS (
  INSERT INTO identity_events (run_id, listing_id, from_asset_id, to_asset_id, method, evidence)
  SELECT :run_id, listing_id, asset_id, asset_id, 'renamed',
         jsonb_build_object('was', jsonb_build_object('symbol', old_symbol, 'name', old_name),
                            'now', jsonb_build_object('symbol', symbol, 'name', name))
  FROM renamed
)
SELECT listing_id, external_id, format('%s (%s)', old_name, old_symbol) AS was,
       format('%s (%s)', name, symbol) AS now
FROM renamed ORDER BY external_id

-- name: read_renamed
-- An example of a listing that a run renamed, with both names, and the number of them.
SELECT l.external_id, e.was, e.now, count(*) OVER () AS listings
FROM (
  SELECT listing_id,
         format('%s (%s)', (array_agg(evidence->'was' ORDER BY id))[1]->>'name',
                (array_agg(evidence->'was' ORDER BY id))[1]->>'symbol') AS was,
         format('%s (%s)', (array_agg(evidence->'now' ORDER BY id DESC))[1]->>'name',
                (array_agg(evidence->'now' ORDER BY id DESC))[1]->>'symbol') AS now
  FROM identity_events WHERE run_id = :run_id AND method = 'renamed' GROUP BY listing_id
) AS e JOIN listings AS l ON l.id = e.listing_id
ORDER BY l.external_id LIMIT 1

-- name: touch_renamed
-- Those of the listings that share a symbol with a renamed one, because a common name at one time is
-- evidence. Each symbol is looked up once, however many listings have it.
INSERT INTO touched_keys
WITH own AS MATERIALIZED (
  SELECT l.id, k.symbol_key
  FROM listings AS l JOIN listing_names AS k ON k.listing_id = l.id
  WHERE l.id = ANY(CAST(:ids AS integer[])) AND k.symbol_key <> ''
), renamed AS MATERIALIZED (
  SELECT d.symbol_key FROM (SELECT DISTINCT symbol_key FROM own) AS d
  WHERE EXISTS (SELECT FROM listing_names AS s JOIN listings AS o ON o.id = s.listing_id
                WHERE s.symbol_key = d.symbol_key AND (s.symbol, s.name) <> (o.symbol, o.name))
)
SELECT DISTINCT l.symbol_key, l.name_key
FROM renamed JOIN own USING (symbol_key) JOIN listings AS l USING (id)

-- name: touch_beside_delisted
-- Those of the listings that share a symbol, a name or a contract with a delisted one of their source:
-- their first observation decides whether they came after it.
INSERT INTO touched_keys
WITH own AS MATERIALIZED (
  SELECT id, source, external_id, symbol_key, name_key FROM listings
  WHERE id = ANY(CAST(:ids AS integer[]))
), gone AS MATERIALIZED (
  SELECT id, source, external_id, name_key FROM listings
  WHERE delisted_at IS NOT NULL AND source IN (SELECT source FROM own)
), beside AS (
  SELECT k.listing_id AS id
  FROM own JOIN listing_names AS k ON k.listing_id = own.id
  JOIN (SELECT DISTINCT n.symbol_key FROM gone AS g JOIN listing_names AS n ON n.listing_id = g.id
        WHERE n.symbol_key <> '') AS s ON s.symbol_key = k.symbol_key
  UNION
  SELECT own.id FROM own JOIN gone AS g USING (name_key) WHERE own.name_key <> ''
  UNION
  SELECT own.id
  FROM own JOIN contracts AS c USING (source, external_id)
  JOIN contracts AS d USING (chain, address)
  JOIN gone AS g ON g.source = d.source AND g.external_id = d.external_id
)
SELECT DISTINCT own.symbol_key, own.name_key FROM own JOIN beside USING (id)

-- name: find_assets_of
SELECT DISTINCT asset_id FROM listings WHERE id = ANY(CAST(:ids AS integer[]))

-- name: update_former_names
UPDATE assets AS a
SET former_names = s.former_names,
    version = nextval('asset_version'), updated_at = clock_timestamp()
FROM (
  SELECT a.id, {former_names} AS former_names FROM assets AS a
  WHERE a.id = ANY(CAST(:ids AS integer[]))
) AS s
WHERE a.id = s.id AND a.former_names <> s.former_names

-- name: create_raw_names
-- The names in all raw records of a source, collected part by part. The longest id, symbol and name
-- together are too long for an index entry, so `label` is a digest of the latter two.
CREATE TEMPORARY TABLE IF NOT EXISTS raw_names (
  external_id text COLLATE "C" NOT NULL,
  symbol text NOT NULL,
  name text NOT NULL,
  symbol_key text NOT NULL,
  first_observed_at timestamptz NOT NULL,
  label text COLLATE "C" GENERATED ALWAYS AS (md5(symbol) || md5(name)) STORED,
  PRIMARY KEY (external_id, label)
);
TRUNCATE raw_names

-- name: collect_raw_names
INSERT INTO raw_names AS k
SELECT external_id, symbol, name, symbol_key, min(observed_at)
FROM fresh GROUP BY external_id, symbol, name, symbol_key
ON CONFLICT (external_id, label) DO UPDATE
SET first_observed_at = least(k.first_observed_at, excluded.first_observed_at)

-- name: find_pruned
-- Listings with pruned raw records: the names in those cannot be read any more.
SELECT l.external_id FROM listings AS l
WHERE l.source = :source AND EXISTS (
  SELECT FROM pruned_partitions AS p
  JOIN observations AS o ON o.observed_at >= p.observed_from AND o.observed_at < p.observed_until
                        AND o.ingested_at <= p.pruned_at
  WHERE p.source = l.source AND o.listing_id = l.id)

-- name: delete_other_names
-- A listing with a raw record that no longer matches the schema keeps its names.
DELETE FROM listing_names AS k
WHERE NOT EXISTS (SELECT FROM listings AS l WHERE l.id = k.listing_id)
   OR EXISTS (
     SELECT FROM listings AS l
     WHERE l.id = k.listing_id AND l.source = :source
       AND l.external_id <> ALL (CAST(:unreadable AS text[]))
       AND NOT EXISTS (SELECT FROM raw_names AS r
                       WHERE r.external_id = l.external_id
                         AND (r.symbol, r.name) = (k.symbol, k.name)))

-- name: rebuild_names
INSERT INTO listing_names AS k (listing_id, symbol, name, symbol_key, first_observed_at)
SELECT l.id, r.symbol, r.name, r.symbol_key,
       CASE WHEN r.external_id = ANY (CAST(:unreadable AS text[]))
            THEN least(r.first_observed_at, n.first_observed_at) ELSE r.first_observed_at END
FROM raw_names AS r
JOIN listings AS l ON l.source = :source AND l.external_id = r.external_id
LEFT JOIN listing_names AS n
       ON n.listing_id = l.id AND (n.symbol, n.name) = (r.symbol, r.name)
ON CONFLICT (listing_id, symbol, name) DO UPDATE
SET symbol_key = excluded.symbol_key, first_observed_at = excluded.first_observed_at
WHERE (k.symbol_key, k.first_observed_at)
      IS DISTINCT FROM (excluded.symbol_key, excluded.first_observed_at)

-- name: names_are_what_raw_says
SELECT 'listing ' || l.source || ':' || l.external_id AS what,
       CASE WHEN k.listing_id IS NULL
            THEN format('was called %s (%s), which is not stored', r.name, r.symbol)
            WHEN r.external_id IS NULL
            THEN format('is stored as called %s (%s), which is in no raw record',
                        k.name, k.symbol)
            ELSE format('was called %s (%s) first at %s, not at %s', r.name, r.symbol,
                        r.first_observed_at, k.first_observed_at) END AS why
FROM (SELECT l.id, l.external_id, r.symbol, r.name, r.first_observed_at
      FROM raw_names AS r
      JOIN listings AS l ON l.source = :source AND l.external_id = r.external_id) AS r
FULL JOIN (SELECT k.* FROM listing_names AS k
           JOIN listings AS l ON l.id = k.listing_id AND l.source = :source
           WHERE l.external_id <> ALL (CAST(:unreadable AS text[]))) AS k
       ON k.listing_id = r.id AND (k.symbol, k.name) = (r.symbol, r.name)
JOIN listings AS l ON l.id = coalesce(r.id, k.listing_id)
WHERE l.external_id <> ALL (CAST(:unreadable AS text[]))
  AND r.first_observed_at IS DISTINCT FROM k.first_observed_at
