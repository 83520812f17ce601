-- An asset's unified values, worked out from its listings. Each value comes from the listing that
-- observed one last; for listings of one instant, from the source that is first by name. The spread
-- compares the prices that are no more than an hour older than the asset's newest observation.

-- name: unified
-- Most assets have one listing, whose values are theirs: for those nothing is sorted.
WITH dated AS (
  SELECT l.*, max(l.observed_at) OVER of_asset AS newest_at, count(*) OVER of_asset AS size
  FROM {among}
  WINDOW of_asset AS (PARTITION BY l.asset_id)
)
SELECT asset_id, upper(symbol) AS symbol, name, {only_values}, observed_at,
       1::smallint AS source_count, ARRAY[source]::text[] AS sources, NULL::numeric AS price_spread_percent
FROM dated WHERE size = 1
UNION ALL
SELECT asset_id,
       (array_agg(upper(symbol) ORDER BY source, external_id))[1],
       (array_agg(name ORDER BY source, external_id))[1],
       {latest_values},
       max(observed_at),
       count(DISTINCT source)::smallint,
       array_agg(DISTINCT source ORDER BY source)::text[],
       CASE WHEN count(late_price) > 1 AND min(late_price) > 0
            THEN round((max(late_price) - min(late_price)) * 100 / min(late_price), 6) END
FROM (
  SELECT *, CASE WHEN observed_at > newest_at - interval '1 hour' THEN price_usd END AS late_price
  FROM dated WHERE size > 1
) AS compared
GROUP BY asset_id
