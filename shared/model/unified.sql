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

-- name: dated
-- The listings that count, each with the values that are current; `size` is how many the asset has.
dated AS (
  SELECT asset_id, id, source, external_id, symbol, name, observed_at, delisted_at, trust,
         listed > 0 AS active, CASE WHEN listed > 0 THEN listed ELSE every END AS size,
         {current_values}
  FROM (
    SELECT *, observed_at >= newest_at - {current_for} AS is_current
    FROM (
      SELECT l.asset_id, l.id, l.source, l.external_id, l.symbol, l.name, l.observed_at,
             l.delisted_at, {l_values},
             coalesce(array_position({trust}, l.source::text), {sources_trusted} + 1) AS trust,
             count(*) OVER of_asset AS every,
             count(*) FILTER (WHERE l.delisted_at IS NULL) OVER of_asset AS listed,
             max(l.observed_at) FILTER (WHERE l.delisted_at IS NULL) OVER of_asset AS newest_at
      FROM {among}
      WINDOW of_asset AS (PARTITION BY l.asset_id)
    ) AS d
    WHERE delisted_at IS NULL OR listed = 0
    OFFSET 0  -- so that it is worked out once whether a listing is current
  ) AS d
)

-- name: judged
-- Each current value of each source, by which the asset's value is chosen.
voices AS (
  SELECT DISTINCT ON (d.asset_id, v.value, d.source)
         d.asset_id, v.value, v.amount, v.outlier_percent, v.divergent_percent,
         d.id, d.source, d.observed_at, d.trust
  FROM dated AS d
  CROSS JOIN LATERAL (
    VALUES {amounts}
  ) AS v (value, amount, outlier_percent, divergent_percent)
  WHERE {heard} AND v.amount IS NOT NULL
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
-- Most assets have one listing, whose values are theirs, or two, which lie in one row beside each
-- other: for those nothing is sorted by value. `o_` is the second of two. The first is of the more
-- trusted source or, of one source, the newer; so its value is the asset's where it has one.
WITH {dated},
{judged},
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
),
paired AS (
  SELECT d.*, {other_columns}
  FROM dated AS d WHERE size = 2
  WINDOW ranked AS (PARTITION BY asset_id
                    ORDER BY trust, source, observed_at DESC, external_id)
),
compared AS (
  SELECT *, {spreads}
  FROM (SELECT *, source <> o_source AS two FROM paired WHERE o_id IS NOT NULL) AS p
  OFFSET 0  -- so that each spread is worked out once
)
SELECT asset_id, upper(symbol) AS symbol, name, {only_values}, observed_at,
       1::smallint AS source_count, ARRAY[source]::text[] AS sources,
       NULL::numeric AS price_spread_percent, false AS divergent, active, delisted_at
FROM dated WHERE size = 1
UNION ALL
SELECT asset_id, upper(CASE WHEN o_is_least THEN o_symbol ELSE symbol END),
       CASE WHEN o_is_least THEN o_name ELSE name END, {paired_values},
       greatest(observed_at, o_observed_at), CASE WHEN two THEN 2 ELSE 1 END::smallint,
       CASE WHEN NOT two THEN ARRAY[source]
            WHEN o_is_least THEN ARRAY[o_source, source] ELSE ARRAY[source, o_source] END::text[],
       price_usd_spread, {diverges}, active, greatest(delisted_at, o_delisted_at)
FROM (
  SELECT *, (o_source, o_external_id) < (source, external_id) AS o_is_least FROM compared
) AS c
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
  FROM dated WHERE size > 2 GROUP BY asset_id
) AS labelled
LEFT JOIN chosen AS c USING (asset_id)

-- name: voices
WITH {dated},
{judged}
SELECT asset_id, value, id, source, amount, is_outlier, told >= 3 AS by_median, spread_percent,
       coalesce(spread_percent > divergent_percent, false) AS divergent
FROM ordered
