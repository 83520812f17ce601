-- Prices of pairs of listings over time. `{pairs}` holds each pair that identity compared. A row depends
-- only on the observations of the two listings, not on their order of arrival. A batch updates it from
-- the hours of its own records.
--
-- Prices are compared hour by hour. The cell of an hour holds the observations from its start to half an
-- hour after its end, so two observations within half an hour always share a cell. If both listings have
-- a price in a cell, it agrees if any two of their prices agree. Otherwise it differs if any two differ,
-- and otherwise it is inconclusive. So one right price among wrong ones is enough, wrong prices remove no
-- evidence, and a further record can only move a cell from inconclusive to differing to agreeing.
--
-- compared_at    the newest cell in which both have a price
-- agreed_at      the newest cell that agrees
-- differs_since  the first cell after it that differs
-- lasting_since  the cell from which the difference counts as lasting: the first one if both listings
--                started with it, otherwise that with enough cells over enough hours
-- verdict        `agree`; `unknown` without a conclusive cell; `disputed` while a difference has not
--                lasted; `broken` once it has; `differ` if it existed from the start
-- is_shared      a `broken` pair whose difference most pairs of one of the sources share

-- name: create_due_pairs
-- Pairs to compare again, and the first cell to read.
CREATE TEMPORARY TABLE IF NOT EXISTS due_pairs (
  listing_id integer NOT NULL,
  other_listing_id integer NOT NULL,
  since timestamptz NOT NULL
) ON COMMIT DELETE ROWS

-- name: create_recomputed_pairs
-- For `verify`, which compares every pair from the start.
CREATE TEMPORARY TABLE IF NOT EXISTS recomputed_pairs (LIKE compared_pairs INCLUDING ALL)
ON COMMIT DELETE ROWS

-- name: find_due_pairs
-- Pairs of the batch's listings whose row an observation in `fresh` can change. Observations cannot if
-- they are in cells up to the newest that agrees, or in cells without an observation of the partner. A
-- lasting difference depends on the cells up to `lasting_since`; after it, only agreeing cells matter.
INSERT INTO due_pairs
SELECT p.listing_id, p.other_listing_id,
       greatest(p.agreed_at, CASE WHEN min(b.first_cell) > p.lasting_since THEN min(b.first_cell)
                                  ELSE least(min(b.first_cell), p.differs_since) END)
FROM (
  SELECT n.listing_id, min({first_cell_of_f}) AS first_cell, max({cell_of_f}) AS last_cell,
         bool_or(f.price_usd > 0) AS has_price
  FROM fresh AS f JOIN newest AS n USING (external_id)
  GROUP BY n.listing_id
) AS b
CROSS JOIN LATERAL (
  SELECT *, other_listing_id AS partner_id FROM {pairs} WHERE listing_id = b.listing_id
  UNION ALL
  SELECT *, listing_id FROM {pairs} WHERE other_listing_id = b.listing_id
  OFFSET 0  -- so that each is looked up by its index
) AS p
CROSS JOIN LATERAL (SELECT observed_at FROM listings WHERE id = p.partner_id OFFSET 0) AS o
WHERE (b.has_price OR p.differs_since IS NOT NULL)
  AND (p.agreed_at IS NULL OR b.last_cell > p.agreed_at)
  AND o.observed_at >= greatest(b.first_cell, p.agreed_at + interval '1 hour')
GROUP BY p.listing_id, p.other_listing_id, p.agreed_at, p.differs_since, p.lasting_since

-- name: add_due_pairs
INSERT INTO due_pairs
SELECT one, other, '-infinity'
FROM unnest(CAST(:ones AS integer[]), CAST(:others AS integer[])) AS pair (one, other)

-- name: compare_due_pairs
-- Returns the pairs whose verdict changed.
WITH placed AS (
  -- Of two prices, one of each listing, that are nearest to each other none lies between.
  SELECT d.listing_id, d.other_listing_id, c.cell, o.is_other, o.price_usd,
         lag(o.price_usd) OVER by_price AS below, lag(o.is_other) OVER by_price AS below_is_other
  FROM due_pairs AS d
  CROSS JOIN LATERAL (
    SELECT false AS is_other, observed_at, price_usd FROM observations
    WHERE listing_id = d.listing_id AND observed_at >= d.since AND price_usd > 0
    UNION ALL
    SELECT true, observed_at, price_usd FROM observations
    WHERE listing_id = d.other_listing_id AND observed_at >= d.since AND price_usd > 0
    OFFSET 0
  ) AS o
  CROSS JOIN LATERAL (
    SELECT {cell_of_o} UNION SELECT {first_cell_of_o}
  ) AS c (cell)
  WHERE c.cell >= d.since
  WINDOW by_price AS (PARTITION BY d.listing_id, d.other_listing_id, c.cell
                      ORDER BY o.price_usd, o.is_other)
), cells AS (
  SELECT listing_id, other_listing_id, cell,
         min(price_usd) FILTER (WHERE NOT is_other) AS low,
         max(price_usd) FILTER (WHERE NOT is_other) AS high,
         min(price_usd) FILTER (WHERE is_other) AS other_low,
         max(price_usd) FILTER (WHERE is_other) AS other_high,
         bool_or(is_other <> below_is_other AND price_usd <= below * {agree_within}) AS agrees
  FROM placed GROUP BY listing_id, other_listing_id, cell
), compared AS (
  SELECT listing_id, other_listing_id, cell,
         CASE WHEN agrees THEN 'agree'
              WHEN high > other_low * {differ_beyond} OR other_high > low * {differ_beyond}
              THEN 'differ' ELSE 'unknown' END AS accord
  FROM cells WHERE low IS NOT NULL AND other_low IS NOT NULL
), dated AS (
  SELECT t.*, greatest(p.agreed_at, max(t.cell) FILTER (WHERE t.accord = 'agree') OVER (
           PARTITION BY t.listing_id, t.other_listing_id)) AS agreed_at
  FROM compared AS t LEFT JOIN {pairs} AS p USING (listing_id, other_listing_id)
), contradiction AS (
  SELECT listing_id, other_listing_id, cell, row_number() OVER of_pair AS place,
         first_value(cell) OVER of_pair AS began
  FROM dated WHERE accord = 'differ' AND cell > coalesce(agreed_at, '-infinity')
  WINDOW of_pair AS (PARTITION BY listing_id, other_listing_id ORDER BY cell)
), lasting AS (
  SELECT listing_id, other_listing_id, min(began) AS differs_since,
         min(cell) FILTER (WHERE place >= {lasting_cells} AND cell - began >= {lasting})
           AS lasting_since
  FROM contradiction GROUP BY listing_id, other_listing_id
), summed AS (
  SELECT listing_id, other_listing_id, agreed_at, max(cell) AS compared_at
  FROM dated GROUP BY listing_id, other_listing_id, agreed_at
), joined AS (
  SELECT d.listing_id, d.other_listing_id, p.listing_id IS NOT NULL AS is_known, p.is_shared,
         greatest(p.compared_at, s.compared_at) AS compared_at,
         coalesce(s.agreed_at, p.agreed_at) AS agreed_at,
         CASE WHEN is_partial THEN p.differs_since ELSE c.differs_since END AS differs_since,
         CASE WHEN is_partial THEN p.lasting_since ELSE c.lasting_since END AS lasting_since,
         p.compared_at AS old_compared_at, p.agreed_at AS old_agreed_at,
         p.differs_since AS old_differs_since, p.lasting_since AS old_lasting_since,
         p.verdict AS old_verdict
  FROM due_pairs AS d
  LEFT JOIN summed AS s USING (listing_id, other_listing_id)
  LEFT JOIN lasting AS c USING (listing_id, other_listing_id)
  LEFT JOIN {pairs} AS p USING (listing_id, other_listing_id)
  CROSS JOIN LATERAL (
    SELECT coalesce(d.since > p.lasting_since, false)
           AND coalesce(s.agreed_at, p.agreed_at) IS NOT DISTINCT FROM p.agreed_at AS is_partial
  ) AS read
), begun AS (
  -- whether both had been there before the first hour of the contradiction
  SELECT j.*, j.agreed_at IS NOT NULL OR j.differs_since > (
           SELECT {cell_of_first} FROM (
             SELECT max(since) AS first FROM (
               SELECT min(first_observed_at) AS since FROM listing_names
               WHERE listing_id IN (j.listing_id, j.other_listing_id) GROUP BY listing_id
             ) AS each
           ) AS latest
         ) AS was_together
  FROM joined AS j WHERE j.differs_since IS NOT NULL
  UNION ALL
  SELECT *, true FROM joined WHERE differs_since IS NULL
), judged AS (
  SELECT listing_id, other_listing_id, is_known, is_shared, old_compared_at, old_agreed_at,
         old_differs_since, old_lasting_since, old_verdict,
         compared_at, agreed_at, differs_since,
         CASE WHEN was_together THEN lasting_since ELSE differs_since END AS lasting_since,
         CASE WHEN differs_since IS NULL
              THEN CASE WHEN agreed_at IS NULL THEN 'unknown' ELSE 'agree' END
              WHEN NOT was_together THEN 'differ'
              WHEN lasting_since IS NULL THEN 'disputed' ELSE 'broken' END AS verdict
  FROM begun
), stored AS (
  INSERT INTO {pairs} AS p (listing_id, other_listing_id, compared_at, agreed_at, differs_since,
                            lasting_since, verdict, is_shared)
  SELECT listing_id, other_listing_id, compared_at, agreed_at, differs_since, lasting_since, verdict,
         verdict = 'broken' AND coalesce(is_shared, false)
  FROM judged
  WHERE NOT is_known
     OR (compared_at, agreed_at, differs_since, lasting_since, verdict)
        IS DISTINCT FROM
        (old_compared_at, old_agreed_at, old_differs_since, old_lasting_since, old_verdict)
  ON CONFLICT (listing_id, other_listing_id) DO UPDATE
  SET compared_at = excluded.compared_at, agreed_at = excluded.agreed_at,
      differs_since = excluded.differs_since, lasting_since = excluded.lasting_since,
      verdict = excluded.verdict, is_shared = excluded.is_shared
)
SELECT listing_id, other_listing_id FROM judged
WHERE is_known
  AND (verdict, agreed_at IS NULL) IS DISTINCT FROM (old_verdict, old_agreed_at IS NULL)

-- name: empty_due_pairs
DELETE FROM due_pairs

-- name: mark_shared
-- If most pairs of a source start to differ within the same hours, the source is wrong, and that is not
-- evidence on a single pair. Pairs count if they did not differ before and were compared since. Only
-- `broken` pairs are marked; comparisons before the first of them do not count.
WITH concerned AS MATERIALIZED (
  SELECT l.source, min(p.differs_since) - interval '1 hour' AS since
  FROM {pairs} AS p
  CROSS JOIN LATERAL (VALUES (p.listing_id), (p.other_listing_id)) AS side (id)
  JOIN listings AS l ON l.id = side.id
  WHERE p.verdict = 'broken' GROUP BY l.source
), sides AS (
  SELECT l.source, p.*
  FROM {pairs} AS p
  CROSS JOIN LATERAL (VALUES (p.listing_id), (p.other_listing_id)) AS side (id)
  JOIN listings AS l ON l.id = side.id
  JOIN concerned AS c ON c.source = l.source AND p.compared_at >= c.since
  WHERE EXISTS (SELECT FROM concerned)
    AND p.compared_at >= (SELECT min(since) FROM concerned)
), began AS (
  SELECT source, differs_since, count(*) AS pairs FROM sides
  WHERE verdict IN ('disputed', 'broken') GROUP BY source, differs_since
), waves AS (
  SELECT source, differs_since,
         sum(pairs) OVER (PARTITION BY source ORDER BY differs_since
                          RANGE BETWEEN interval '1 hour' PRECEDING
                                    AND interval '1 hour' FOLLOWING) AS pairs
  FROM began
), shared AS (
  SELECT w.source, w.differs_since
  FROM waves AS w
  JOIN sides AS s ON s.source = w.source AND s.compared_at >= w.differs_since
                 AND s.verdict <> 'differ'
  WHERE w.pairs >= {fewest_shared}
  GROUP BY w.source, w.differs_since, w.pairs
  HAVING 2 * w.pairs > count(*)
), marked AS (
  SELECT s.listing_id, s.other_listing_id, s.is_shared,
         bool_or(w.source IS NOT NULL) AS is_shared_now
  FROM sides AS s LEFT JOIN shared AS w USING (source, differs_since)
  WHERE s.verdict = 'broken'
  GROUP BY s.listing_id, s.other_listing_id, s.is_shared
)
UPDATE {pairs} AS p SET is_shared = m.is_shared_now
FROM marked AS m
WHERE (p.listing_id, p.other_listing_id) = (m.listing_id, m.other_listing_id)
  AND m.is_shared <> m.is_shared_now
RETURNING p.listing_id, p.other_listing_id

-- name: touch_listings
INSERT INTO touched_keys
SELECT DISTINCT symbol_key, name_key FROM listings WHERE id = ANY(CAST(:ids AS integer[]))

-- name: find_touched_accords
-- Pairs whose market caps or supplies start or cease to agree. `l` and `o` are the listings before the
-- batch, `n` and `p` after it.
INSERT INTO touched_keys
SELECT DISTINCT n.symbol_key, n.name_key
FROM newest AS n
JOIN listings AS l ON l.id = n.listing_id
CROSS JOIN LATERAL (
  SELECT other_listing_id AS id FROM {pairs} WHERE listing_id = n.listing_id
  UNION ALL
  SELECT listing_id FROM {pairs} WHERE other_listing_id = n.listing_id
  OFFSET 0
) AS partner
CROSS JOIN LATERAL (SELECT * FROM listings WHERE id = partner.id OFFSET 0) AS o
-- The partner is in the batch too only if both are listings of files.
LEFT JOIN newest AS m ON m.listing_id = o.id AND m.is_newer
CROSS JOIN LATERAL (SELECT {o_or_m_compared}) AS p
WHERE n.is_newer AND NOT n.is_new AND {accords_change}

-- name: must_compare_all_pairs
-- Whether all pairs must be compared from the start: migration 0013 says so, or there are matches
-- but no pairs.
SELECT EXISTS (SELECT FROM crowds WHERE symbol_key = '')
  OR EXISTS (SELECT FROM matches) AND NOT EXISTS (SELECT FROM {pairs})

-- name: read_pairs
SELECT p.* FROM block AS b
CROSS JOIN LATERAL (SELECT * FROM {pairs} WHERE listing_id = b.listing_id OFFSET 0) AS p

-- name: delete_other_pairs
DELETE FROM {pairs} AS p
USING block AS b
WHERE p.listing_id = b.listing_id
  AND (p.listing_id, p.other_listing_id) NOT IN (
    SELECT one, other
    FROM unnest(CAST(:ones AS integer[]), CAST(:others AS integer[])) AS pair (one, other))

-- name: delete_all_pairs
DELETE FROM {pairs}

-- name: pairs_follow_the_rule
SELECT format('prices of %s and %s', coalesce(l.source || ':' || l.external_id, 'no listing'),
              coalesce(o.source || ':' || o.external_id, 'no listing')) AS what,
       CASE WHEN p.listing_id IS NULL THEN 'are not compared, though identity needs them'
            WHEN r.listing_id IS NULL THEN 'are compared, though identity does not need them'
            ELSE format('%s, compared at %s, but stored as %s of %s', r.verdict,
                        coalesce(r.compared_at::text, 'no time'), p.verdict,
                        coalesce(p.compared_at::text, 'no time')) END AS why
FROM compared_pairs AS p
FULL JOIN recomputed_pairs AS r USING (listing_id, other_listing_id)
LEFT JOIN listings AS l ON l.id = listing_id
LEFT JOIN listings AS o ON o.id = other_listing_id
WHERE (p.compared_at, p.agreed_at, p.differs_since, p.lasting_since, p.verdict, p.is_shared)
      IS DISTINCT FROM
      (r.compared_at, r.agreed_at, r.differs_since, r.lasting_since, r.verdict, r.is_shared)

-- name: fingerprint_pairs
SELECT count(*) AS records,
       sum(hashtextextended(ROW(least(l.source || ':' || l.external_id,
                                      o.source || ':' || o.external_id),
                                greatest(l.source || ':' || l.external_id,
                                         o.source || ':' || o.external_id),
                                extract(epoch FROM p.compared_at), extract(epoch FROM p.agreed_at),
                                extract(epoch FROM p.differs_since),
                                extract(epoch FROM p.lasting_since), p.verdict, p.is_shared)::text, 0)::numeric) AS digest
FROM {pairs} AS p
JOIN listings AS l ON l.id = p.listing_id JOIN listings AS o ON o.id = p.other_listing_id
