-- An asset's unified values, worked out from its listings by one rule for each value.
--
-- 1. Listings that their source lists no more (`delisted_at`) do not count while another listing of
--    the asset does. Where all are delisted, the asset is not active and has no current value.
-- 2. The asset's time is that of its newest observation, whatever it says. A value is current while
--    it was observed no longer before that time than its source's limit (`CURRENT_FOR`). An older one
--    says how things were: if it filled in where newer records say null, the row would give it a time
--    at which nobody had observed it. Nothing is compared with the clock, so that the same records
--    always give the same values.
-- 3. A listing says what its newest record says. Where that is null, it says null, though an earlier
--    record knew the value. 0 is known of volume alone, and only where no current value is greater.
-- 4. Each source contributes one value, of its newest listing that knows it.
-- 5. Of three or more current values, those further from the median than the value's limit are
--    outliers, and the median of the rest is the value; of fewer, the most trusted source's. For an
--    even number the median is the lower of the two in the middle, so that it is what one source said.

-- name: judged
-- Each current value of each source, by which the asset's value is chosen.
dated AS (
  SELECT *, max(observed_at) OVER of_asset AS newest_at, count(*) OVER of_asset AS size
  FROM (
    SELECT l.*, bool_or(l.delisted_at IS NULL) OVER (PARTITION BY l.asset_id) AS active
    FROM {among}
  ) AS l
  WHERE delisted_at IS NULL OR NOT active
  WINDOW of_asset AS (PARTITION BY asset_id)
),
voices AS (
  SELECT DISTINCT ON (d.asset_id, v.value, d.source)
         d.asset_id, v.value, v.amount, v.outlier_percent, v.divergent_percent,
         d.id, d.source, d.observed_at,
         coalesce(array_position({trust}, d.source::text), {sources_trusted} + 1) AS trust
  FROM dated AS d
  CROSS JOIN LATERAL (
    VALUES {amounts}
  ) AS v (value, amount, outlier_percent, divergent_percent)
  WHERE {heard} AND d.active AND v.amount IS NOT NULL
    AND d.observed_at >= d.newest_at - {current_for}
  ORDER BY d.asset_id, v.value, d.source, d.observed_at DESC, d.external_id
),
fresh AS (
  SELECT *, count(*) OVER of_value AS told, min(amount) OVER of_value AS lowest,
         max(amount) OVER of_value AS highest,
         row_number() OVER (of_value ORDER BY amount, trust, source) AS place
  FROM (
    SELECT *, max(amount) OVER (PARTITION BY asset_id, value) AS most FROM voices
  ) AS current
  WHERE amount <> 0 OR most = 0
  WINDOW of_value AS (PARTITION BY asset_id, value)
),
judged AS (
  SELECT *, told >= 3 AND abs(amount - middle) * 100 > outlier_percent * middle AS is_outlier
  FROM (
    SELECT *, max(amount) FILTER (WHERE place = (told + 1) / 2)
                OVER (PARTITION BY asset_id, value) AS middle
    FROM fresh
  ) AS measured
),
ordered AS (
  SELECT *, count(*) OVER (PARTITION BY asset_id, value, is_outlier) AS alike,
         row_number() OVER (PARTITION BY asset_id, value, is_outlier
                            ORDER BY CASE WHEN told >= 3 THEN amount END, trust, source) AS turn,
         CASE WHEN told > 1 AND lowest > 0
              THEN round((highest - lowest) * 100 / lowest, 6) END AS spread_percent
  FROM judged
)

-- name: unified
-- Most assets have one listing, whose values are theirs: for those nothing is sorted.
WITH {judged},
chosen AS (
  SELECT asset_id, {chosen_values},
         max(spread_percent) FILTER (WHERE value = 'price_usd') AS price_spread_percent,
         coalesce(bool_or(spread_percent > divergent_percent), false) AS divergent
  FROM (
    SELECT *, NOT is_outlier AND turn = CASE WHEN told >= 3 THEN (alike + 1) / 2 ELSE 1 END AS wins
    FROM ordered
  ) AS decided
  WHERE wins
  GROUP BY asset_id
)
SELECT asset_id, upper(symbol) AS symbol, name, {only_values}, observed_at,
       1::smallint AS source_count, ARRAY[source]::text[] AS sources,
       NULL::numeric AS price_spread_percent, false AS divergent, active, delisted_at
FROM dated WHERE size = 1
UNION ALL
SELECT asset_id, symbol, name, {c_values}, observed_at, source_count, sources,
       price_spread_percent, coalesce(divergent, false), active, delisted_at
FROM (
  SELECT asset_id,
         (array_agg(upper(symbol) ORDER BY source, external_id))[1] AS symbol,
         (array_agg(name ORDER BY source, external_id))[1] AS name,
         max(observed_at) AS observed_at,
         count(DISTINCT source)::smallint AS source_count,
         array_agg(DISTINCT source ORDER BY source)::text[] AS sources,
         bool_or(active) AS active, max(delisted_at) AS delisted_at
  FROM dated WHERE size > 1 GROUP BY asset_id
) AS labelled
LEFT JOIN chosen AS c USING (asset_id)

-- name: voices
WITH {judged}
SELECT asset_id, value, id, source, amount, is_outlier, told >= 3 AS by_median, spread_percent,
       coalesce(spread_percent > divergent_percent, false) AS divergent
FROM ordered
