-- The unified values of an asset, computed from its listings. The same rule chooses each value.
--
-- 1. Delisted listings (`delisted_at`) do not count while another listing of the asset is listed. If
--    all are delisted, the asset is not active and has no current value.
-- 2. The time of an asset is that of its newest observation, whatever that observation reports. A
--    value is current if it was observed at most the limit of its source (`CURRENT_FOR`) before that
--    time. An older value never fills a gap, because the row would give it a wrong time. Nothing is
--    compared with the clock, so that the same records always give the same values.
-- 3. A listing contributes the values of its newest record. If that record has null, the listing
--    contributes nothing, even if an earlier record had a value. 0 counts as unknown, except for a
--    volume when no current volume is greater.
-- 4. Each source contributes one value: that of its newest listing that has one.
-- 5. Of three or more current values, those further from the median than the limit of the value are
--    outliers. The value is the median of the rest. Of an even number the median is the lower of the
--    two in the middle, so it is always a reported value. Of one or two values, that of the most
--    trusted source is chosen.

-- name: dated
-- The listings that count, each with its current values. `size` is the number of these listings of
-- the asset.
dated AS (
  SELECT asset_id, id, source, external_id, symbol, name, observed_at, delisted_at, trust,
         listed > 0 AS active, CASE WHEN listed > 0 THEN listed ELSE all_listings END AS size,
         {current_values}
  FROM (
    SELECT *, observed_at >= newest_at - {current_for} AS is_current
    FROM (
      SELECT l.asset_id, l.id, l.source, l.external_id, l.symbol, l.name, l.observed_at,
             l.delisted_at, {l_values},
             coalesce(array_position({trust}, l.source::text), {sources_trusted} + 1) AS trust,
             count(*) OVER of_asset AS all_listings,
             count(*) FILTER (WHERE l.delisted_at IS NULL) OVER of_asset AS listed,
             max(l.observed_at) FILTER (WHERE l.delisted_at IS NULL) OVER of_asset AS newest_at
      FROM {among}
      WINDOW of_asset AS (PARTITION BY l.asset_id)
    ) AS d
    WHERE delisted_at IS NULL OR listed = 0
    OFFSET 0  -- so that `is_current` is computed once per listing
  ) AS d
)

-- name: judged
-- The current value of each source, compared with those of the other sources.
candidates AS (
  SELECT DISTINCT ON (d.asset_id, v.value, d.source)
         d.asset_id, v.value, v.amount, v.outlier_percent, v.divergent_percent,
         d.id, d.source, d.observed_at, d.trust
  FROM dated AS d
  CROSS JOIN LATERAL (
    VALUES {amounts}
  ) AS v (value, amount, outlier_percent, divergent_percent)
  WHERE {of_assets} AND v.amount IS NOT NULL
  ORDER BY d.asset_id, v.value, d.source, d.observed_at DESC, d.external_id
),
known AS (
  SELECT *, count(*) OVER of_value AS candidate_count, min(amount) OVER of_value AS lowest,
         max(amount) OVER of_value AS highest,
         row_number() OVER (of_value ORDER BY amount, trust, source) AS place
  FROM (
    SELECT *, max(amount) OVER (PARTITION BY asset_id, value) AS greatest_amount FROM candidates
  ) AS current
  WHERE amount <> 0 OR greatest_amount = 0
  WINDOW of_value AS (PARTITION BY asset_id, value)
),
judged AS (
  SELECT *, candidate_count >= 3
            AND abs(amount - median) * 100 > outlier_percent * median AS is_outlier
  FROM (
    SELECT *, max(amount) FILTER (WHERE place = (candidate_count + 1) / 2)
                OVER (PARTITION BY asset_id, value) AS median
    FROM known
  ) AS measured
),
ordered AS (
  SELECT *, count(*) OVER (PARTITION BY asset_id, value, is_outlier) AS group_size,
         row_number() OVER (
           PARTITION BY asset_id, value, is_outlier
           ORDER BY CASE WHEN candidate_count >= 3 THEN amount END, trust, source
         ) AS group_place,
         CASE WHEN candidate_count > 1 AND lowest > 0
              THEN round((highest - lowest) * 100 / lowest, 6) END AS spread_percent
  FROM judged
)

-- name: unified
-- Most assets have one or two listings. Sorting values is not needed for them: the values of one
-- listing are those of the asset, and two listings are put into one row, where the columns of the
-- second begin with `other_`. The first is the one of the more trusted source or, of one source, the
-- newer one. Therefore its value is that of the asset, if it has one.
WITH {dated},
{judged},
chosen AS (
  SELECT asset_id, {chosen_values},
         max(spread_percent) FILTER (WHERE value = 'price_usd') AS price_spread_percent,
         coalesce(bool_or(spread_percent > divergent_percent), false) AS divergent
  FROM (
    SELECT *, NOT is_outlier
              AND group_place = CASE WHEN candidate_count >= 3 THEN (group_size + 1) / 2
                                     ELSE 1 END AS is_chosen
    FROM ordered
  ) AS decided
  WHERE is_chosen
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
  FROM (SELECT *, source <> other_source AS two_sources FROM paired WHERE other_id IS NOT NULL) AS p
  OFFSET 0  -- so that each spread is computed once
)
SELECT asset_id, upper(symbol) AS symbol, name, {only_values}, observed_at,
       1::smallint AS source_count, ARRAY[source]::text[] AS sources,
       NULL::numeric AS price_spread_percent, false AS divergent, active, delisted_at
FROM dated WHERE size = 1
UNION ALL
SELECT asset_id, upper(CASE WHEN other_is_first THEN other_symbol ELSE symbol END),
       CASE WHEN other_is_first THEN other_name ELSE name END, {paired_values},
       greatest(observed_at, other_observed_at),
       CASE WHEN two_sources THEN 2 ELSE 1 END::smallint,
       CASE WHEN NOT two_sources THEN ARRAY[source]
            WHEN other_is_first THEN ARRAY[other_source, source]
            ELSE ARRAY[source, other_source] END::text[],
       price_usd_spread, {diverges}, active, greatest(delisted_at, other_delisted_at)
FROM (
  SELECT *, (other_source, other_external_id) < (source, external_id) AS other_is_first
  FROM compared
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

-- name: candidates
WITH {dated},
{judged}
SELECT asset_id, value, id, source, amount, is_outlier, candidate_count >= 3 AS by_median,
       spread_percent, coalesce(spread_percent > divergent_percent, false) AS divergent
FROM ordered
