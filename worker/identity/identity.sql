-- Stores which listings are one asset. The result depends only on the set of listings, not on the order
-- in which they were loaded.

-- name: create_tables
-- Once per session. Each COMMIT empties them, and `empty_tables` empties all but `touched_keys` before
-- each resolution: a TRUNCATE would write to the catalogs and invalidate every plan, which costs more
-- than a small batch. Primary keys would cost the same, because Postgres rebuilds them.
CREATE TEMPORARY TABLE IF NOT EXISTS touched_keys (
  symbol_key text NOT NULL,
  name_key text NOT NULL
) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS block (listing_id integer NOT NULL) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS resolved (
  listing_id integer NOT NULL,
  cluster text NOT NULL,
  method text NOT NULL,
  score numeric NOT NULL,
  evidence jsonb NOT NULL
) ON COMMIT DELETE ROWS;
-- The matches of the listings in the block.
CREATE TEMPORARY TABLE IF NOT EXISTS new_matches (
  listing_id integer NOT NULL,
  other_listing_id integer NOT NULL,
  method text NOT NULL,
  score numeric NOT NULL,
  verdict text NOT NULL,
  prices text NOT NULL,
  evidence jsonb NOT NULL
) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS broken (
  listing_id integer NOT NULL,
  source text NOT NULL,
  external_id text NOT NULL,
  other_listing_id integer NOT NULL,
  other_source text NOT NULL,
  other_external_id text NOT NULL,
  method text NOT NULL,
  why text NOT NULL
) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS decisions (
  listing_id integer NOT NULL,
  cluster text NOT NULL,
  from_asset_id integer NOT NULL,
  to_asset_id integer,
  method text NOT NULL,
  score numeric NOT NULL,
  evidence jsonb NOT NULL
) ON COMMIT DELETE ROWS

-- name: empty_tables
DELETE FROM block;
DELETE FROM resolved;
DELETE FROM new_matches;
DELETE FROM broken;
DELETE FROM decisions

-- name: find_broken_links
-- Links by evidence that no longer hold. Links by decisions are not reported.
INSERT INTO broken
SELECT l.id, l.source, l.external_id, o.id, o.source, o.external_id,
       m.method, coalesce(t.evidence ->> 'why', 'nothing links them any more') AS why
FROM (
  SELECT m.* FROM resolved AS r
  CROSS JOIN LATERAL (
    SELECT * FROM matches WHERE listing_id = r.listing_id OFFSET 0  -- looked up by their key
  ) AS m
  WHERE m.verdict = 'linked' AND m.method NOT IN ('correction', 'crosswalk')
    AND (m.other_listing_id, r.cluster) NOT IN (SELECT listing_id, cluster FROM resolved)
  OFFSET 0  -- so that the tables of this session are joined to the few that are left
) AS m
JOIN resolved AS s ON s.listing_id = m.other_listing_id
JOIN listings AS l ON l.id = m.listing_id
JOIN listings AS o ON o.id = m.other_listing_id
LEFT JOIN new_matches AS t
       ON t.listing_id = m.listing_id AND t.other_listing_id = m.other_listing_id
RETURNING *

-- name: delete_matches
DELETE FROM matches AS m
WHERE (m.listing_id IN (SELECT listing_id FROM block)
       OR m.other_listing_id IN (SELECT listing_id FROM block))
  AND (m.listing_id, m.other_listing_id) NOT IN (SELECT listing_id, other_listing_id FROM new_matches)

-- name: upsert_matches
-- An unchanged match keeps the time of its decision.
INSERT INTO matches AS m (listing_id, other_listing_id, method, score, verdict, prices, evidence)
SELECT * FROM new_matches
ON CONFLICT (listing_id, other_listing_id) DO UPDATE
SET method = excluded.method, score = excluded.score, verdict = excluded.verdict,
    prices = excluded.prices, evidence = excluded.evidence, decided_at = now()
WHERE (m.method, m.score, m.verdict, m.prices, m.evidence)
      IS DISTINCT FROM
      (excluded.method, excluded.score, excluded.verdict, excluded.prices, excluded.evidence)

-- name: settle
-- If listings leave an asset, it stays with the listing that was in it first, so that its slug does not
-- move to a coin that joined it later. Listings that are not delisted come first. Of listings that came
-- in one transaction, the first in their previous asset counts, then source and id. A listing that left
-- and returned within a transaction never left. A cluster with several assets keeps the oldest.
--
-- Window functions are used instead of joins, because Postgres does not know the sizes of the steps: a
-- plan for few rows would take hours for many.
WITH moves AS (
  SELECT l.id, l.asset_id, l.source, l.external_id, l.delisted_at IS NOT NULL AS is_delisted,
         r.*, move.event_id,
         min(move.event_id) OVER (PARTITION BY move.at) AS came
  FROM resolved AS r
  CROSS JOIN LATERAL (SELECT * FROM listings WHERE id = r.listing_id OFFSET 0) AS l
  LEFT JOIN LATERAL (
    SELECT min(e.id) AS event_id, e.at FROM identity_events AS e
    WHERE e.listing_id = l.id AND e.from_asset_id <> e.to_asset_id
    GROUP BY e.at
    HAVING (array_agg(e.from_asset_id ORDER BY e.id))[1]
           <> (array_agg(e.to_asset_id ORDER BY e.id DESC))[1]
  ) AS move ON true
), arrived AS (
  SELECT id, asset_id, source, external_id, is_delisted, cluster, method, score, evidence,
         array_agg(came ORDER BY event_id DESC) FILTER (WHERE came IS NOT NULL) AS arrivals
  FROM moves
  GROUP BY id, asset_id, source, external_id, is_delisted, cluster, method, score, evidence
), owned AS (
  SELECT *, first_value(cluster) OVER (
           PARTITION BY asset_id
           ORDER BY is_delisted, arrivals NULLS FIRST, source, external_id
         ) AS owner
  FROM arrived
)
INSERT INTO decisions
SELECT id, cluster, asset_id,
       min(asset_id) FILTER (WHERE owner = cluster) OVER (PARTITION BY cluster),
       method, score, evidence
FROM owned

-- name: number_new_assets
-- For clusters without an asset. In a subquery, nextval would run again for each row of a nested loop.
WITH numbered AS MATERIALIZED (
  SELECT cluster, nextval(pg_get_serial_sequence('assets', 'id')) AS asset_id
  FROM (
    SELECT DISTINCT cluster FROM decisions WHERE to_asset_id IS NULL ORDER BY cluster
  ) AS c
)
UPDATE decisions AS d SET to_asset_id = n.asset_id
FROM numbered AS n WHERE d.cluster = n.cluster AND d.to_asset_id IS NULL

-- name: insert_new_assets
INSERT INTO assets (id, slug, symbol, name) OVERRIDING SYSTEM VALUE
SELECT DISTINCT ON (d.to_asset_id) d.to_asset_id, '~' || d.to_asset_id, upper(l.symbol), l.name
FROM decisions AS d JOIN listings AS l ON l.id = d.listing_id
WHERE NOT EXISTS (SELECT FROM assets WHERE id = d.to_asset_id)
ORDER BY d.to_asset_id, l.source, l.external_id

-- name: record_events
-- Of a broken link, the other listing and the reason are recorded.
INSERT INTO identity_events (run_id, listing_id, from_asset_id, to_asset_id, method, evidence)
SELECT :run_id, d.listing_id, d.from_asset_id, d.to_asset_id, d.method,
       d.evidence || coalesce(b.evidence, '{{}}')
FROM decisions AS d
CROSS JOIN LATERAL (SELECT match_method FROM listings WHERE id = d.listing_id OFFSET 0) AS l
LEFT JOIN (
  SELECT listing_id,
         jsonb_build_object('left', jsonb_agg(jsonb_build_object(
           'source', source, 'external_id', external_id, 'method', method, 'why', why)
           ORDER BY source, external_id)) AS evidence
  FROM (SELECT listing_id, other_source AS source, other_external_id AS external_id, method, why
        FROM broken
        UNION ALL SELECT other_listing_id, source, external_id, method, why FROM broken) AS sides
  GROUP BY listing_id
) AS b USING (listing_id)
WHERE d.from_asset_id <> d.to_asset_id OR l.match_method <> d.method

-- name: move_listings
UPDATE listings AS l
SET asset_id = d.to_asset_id, match_method = d.method, match_score = d.score,
    match_evidence = d.evidence
FROM decisions AS d
WHERE l.id = d.listing_id AND l.id = ANY(ARRAY(
  SELECT n.listing_id FROM decisions AS n
  CROSS JOIN LATERAL (SELECT * FROM listings WHERE id = n.listing_id OFFSET 0) AS o
  WHERE (o.asset_id, o.match_method, o.match_score, o.match_evidence)
        IS DISTINCT FROM (n.to_asset_id, n.method, n.score, n.evidence)
))

-- name: find_moved_assets
SELECT from_asset_id AS id FROM decisions WHERE from_asset_id <> to_asset_id
UNION SELECT to_asset_id FROM decisions WHERE from_asset_id <> to_asset_id

-- name: delete_left_assets
DELETE FROM assets AS a
USING decisions AS d
WHERE a.id = d.from_asset_id AND d.from_asset_id <> d.to_asset_id
  AND NOT EXISTS (SELECT FROM listings WHERE asset_id = a.id)

-- name: find_unnamed_assets
-- In the order in which slugs are assigned: assets in the crosswalk, then the greatest market cap, then
-- the first by source and id. It does not depend on the order of loading. `former` has the slugs of
-- removed assets in which one of the listings was at any time.
SELECT id, name, source, external_id, named,
       ARRAY(SELECT DISTINCT r.slug
             FROM listings AS l JOIN identity_events AS e ON e.listing_id = l.id
             JOIN removed_assets AS r ON r.asset_id = e.from_asset_id
             WHERE l.asset_id = unnamed.id) AS former
FROM (
  SELECT DISTINCT ON (a.id) a.id, l.name, l.source, l.external_id,
         min(c.asset) OVER of_asset AS named, max(l.market_cap_usd) OVER of_asset AS cap
  FROM assets AS a
  JOIN listings AS l ON l.asset_id = a.id
  LEFT JOIN crosswalk AS c ON c.source = l.source AND c.external_id = l.external_id
  WHERE a.id IN (SELECT to_asset_id FROM decisions) AND a.slug = '~' || a.id
  WINDOW of_asset AS (PARTITION BY a.id)
  ORDER BY a.id, l.source, l.external_id
) AS unnamed
ORDER BY named IS NULL, cap DESC NULLS LAST, source, external_id

-- name: find_slugs_to_restore
-- The slug of a removed asset belongs to the listing that would have kept it: of those that left last,
-- the first by the rule of `settle`. An asset gets the slug of its first listing back; of several, the
-- one that was lost last.
WITH gone AS MATERIALIZED (
  SELECT DISTINCT ON (r.slug) r.asset_id, r.slug FROM removed_assets AS r
  WHERE r.slug = ANY(CAST(:slugs AS text[]))
    AND NOT EXISTS (SELECT FROM assets AS a WHERE a.slug = r.slug)
  ORDER BY r.slug, r.version DESC
), departures AS (
  SELECT g.asset_id, g.slug, e.listing_id, e.id, e.at
  FROM gone AS g
  JOIN identity_events AS e
    ON e.from_asset_id = g.asset_id AND e.to_asset_id <> e.from_asset_id
  -- except listings that were moved on in the same transaction
  WHERE NOT EXISTS (SELECT FROM identity_events AS b
                    WHERE b.listing_id = e.listing_id AND b.at = e.at AND b.id < e.id
                      AND b.from_asset_id <> b.to_asset_id)
  UNION ALL
  -- a departure without an event, as after a repair: the listing's next event is at another asset
  SELECT g.asset_id, g.slug, e.listing_id, n.id, n.at
  FROM gone AS g
  JOIN identity_events AS e ON e.to_asset_id = g.asset_id
  CROSS JOIN LATERAL (
    SELECT id, at, from_asset_id FROM identity_events
    WHERE listing_id = e.listing_id AND id > e.id ORDER BY id LIMIT 1
  ) AS n
  WHERE n.from_asset_id <> g.asset_id
), went AS (
  SELECT *, first_value(at) OVER (PARTITION BY asset_id ORDER BY id DESC) AS last_at
  FROM departures
), stays AS (
  -- the stays of those listings in the removed asset, and of all listings of their present assets
  SELECT asset_id, slug, listing_id, id AS event_id, at FROM went WHERE at = last_at
  UNION ALL
  SELECT asset_id, NULL, id, NULL, NULL FROM listings WHERE asset_id = ANY(CAST(:ids AS integer[]))
), moves AS (
  SELECT s.*, move.event_id AS move_id, min(move.event_id) OVER (PARTITION BY move.at) AS came
  FROM stays AS s
  LEFT JOIN LATERAL (
    SELECT min(e.id) AS event_id, e.at FROM identity_events AS e
    WHERE e.listing_id = s.listing_id AND e.from_asset_id <> e.to_asset_id
      AND (s.event_id IS NULL OR e.id < s.event_id AND e.at <> s.at)
    GROUP BY e.at
    HAVING (array_agg(e.from_asset_id ORDER BY e.id))[1]
           <> (array_agg(e.to_asset_id ORDER BY e.id DESC))[1]
  ) AS move ON true
), arrived AS (
  SELECT asset_id, slug, listing_id, event_id,
         array_agg(came ORDER BY move_id DESC) FILTER (WHERE came IS NOT NULL) AS arrivals
  FROM moves GROUP BY asset_id, slug, listing_id, event_id
), first_in AS (
  SELECT DISTINCT ON (a.asset_id) a.* FROM arrived AS a JOIN listings AS l ON l.id = a.listing_id
  ORDER BY a.asset_id, a.arrivals NULLS FIRST, l.source, l.external_id
)
SELECT DISTINCT ON (n.asset_id) n.asset_id AS id, due.slug
FROM first_in AS n JOIN first_in AS due USING (listing_id)
WHERE n.slug IS NULL AND due.slug IS NOT NULL
ORDER BY n.asset_id, due.event_id DESC

-- name: find_taken_slugs
-- Including slugs of removed assets, which are never assigned to other coins.
SELECT slug FROM assets WHERE slug = ANY(CAST(:slugs AS text[]))
UNION SELECT slug FROM removed_assets WHERE slug = ANY(CAST(:slugs AS text[]))

-- name: assign_slugs
UPDATE assets AS a SET slug = n.slug
FROM unnest(CAST(:ids AS integer[]), CAST(:slugs AS text[])) AS n (id, slug)
WHERE a.id = n.id
