-- An asset's unified values, worked out from its listings. Each value comes from the listing that
-- observed one last; for listings of one instant, from the source that is first by name. The spread
-- compares the prices that are no more than an hour older than the asset's newest observation.

-- name: unified
SELECT asset_id,
       (array_agg(upper(symbol) ORDER BY source, external_id))[1] AS symbol,
       (array_agg(name ORDER BY source, external_id))[1] AS name,
       {unified_values},
       max(observed_at) AS observed_at,
       count(DISTINCT source)::smallint AS source_count,
       CASE WHEN count(late_price) > 1 AND min(late_price) > 0
            THEN round((max(late_price) - min(late_price)) * 100 / min(late_price), 6)
       END AS price_spread_percent
FROM (
  SELECT *, CASE WHEN observed_at > newest_at - interval '1 hour' THEN price_usd END AS late_price
  FROM (
    SELECT l.*, max(l.observed_at) OVER (PARTITION BY l.asset_id) AS newest_at
    FROM listings AS l {among}
  ) AS dated
) AS compared
GROUP BY asset_id
