-- The values of assets by the rule of revision 0006, of which every listing is listed.
-- Most assets have one listing, whose values are theirs: for those nothing is sorted.
WITH -- Each fresh voice, by which it stands as the rule says.
dated AS (
  SELECT l.*, max(l.observed_at) OVER of_asset AS newest_at, count(*) OVER of_asset AS size
  FROM listings AS l
  WINDOW of_asset AS (PARTITION BY l.asset_id)
),
voices AS (
  SELECT DISTINCT ON (d.asset_id, v.value, d.source)
         d.asset_id, v.value, v.amount, v.outlier_percent, v.divergent_percent,
         d.id, d.source, d.observed_at,
         coalesce(array_position(ARRAY['coingecko', 'coinpaprika', 'csv'], d.source::text), 3 + 1)
           AS trust
  FROM dated AS d
  CROSS JOIN LATERAL (
    VALUES ('price_usd', nullif(d.price_usd, 0), 10, 5), ('market_cap_usd', nullif(d.market_cap_usd,
      0), 30, 20), ('volume_24h_usd', d.volume_24h_usd, 90, 200), ('circulating_supply',
      nullif(d.circulating_supply, 0), 20, 10), ('total_supply', nullif(d.total_supply, 0), 20,
      NULL), ('max_supply', nullif(d.max_supply, 0), 20, NULL)
  ) AS v (value, amount, outlier_percent, divergent_percent)
  WHERE d.size > 1 AND v.amount IS NOT NULL
  ORDER BY d.asset_id, v.value, d.source, d.observed_at DESC, d.external_id
),
fresh AS (
  SELECT *, count(*) OVER of_value AS told, min(amount) OVER of_value AS lowest,
         max(amount) OVER of_value AS highest,
         row_number() OVER (of_value ORDER BY amount, trust, source) AS place
  FROM (
    SELECT *, max(amount) OVER (PARTITION BY asset_id, value) AS most
    FROM (
      SELECT *, max(observed_at) OVER (PARTITION BY asset_id, value) AS newest_at FROM voices
    ) AS compared
    WHERE observed_at >= newest_at - interval '1 hour'
  ) AS timely
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
),
chosen AS (
  SELECT asset_id, (array_agg(amount) FILTER (WHERE value = 'price_usd'))[1] AS price_usd,
    (array_agg(id) FILTER (WHERE value = 'price_usd'))[1] AS price_usd_listing_id,
    (array_agg(amount) FILTER (WHERE value = 'market_cap_usd'))[1] AS market_cap_usd, (array_agg(id)
    FILTER (WHERE value = 'market_cap_usd'))[1] AS market_cap_usd_listing_id, (array_agg(amount)
    FILTER (WHERE value = 'volume_24h_usd'))[1] AS volume_24h_usd, (array_agg(id) FILTER (WHERE
    value = 'volume_24h_usd'))[1] AS volume_24h_usd_listing_id, (array_agg(amount) FILTER (WHERE
    value = 'circulating_supply'))[1] AS circulating_supply, (array_agg(id) FILTER (WHERE value =
    'circulating_supply'))[1] AS circulating_supply_listing_id, (array_agg(amount) FILTER (WHERE
    value = 'total_supply'))[1] AS total_supply, (array_agg(id) FILTER (WHERE value =
    'total_supply'))[1] AS total_supply_listing_id, (array_agg(amount) FILTER (WHERE value =
    'max_supply'))[1] AS max_supply, (array_agg(id) FILTER (WHERE value = 'max_supply'))[1] AS
    max_supply_listing_id,
         max(spread_percent) FILTER (WHERE value = 'price_usd') AS price_spread_percent,
         coalesce(bool_or(spread_percent > divergent_percent), false) AS divergent
  FROM (
    SELECT *, NOT is_outlier AND turn = CASE WHEN told >= 3 THEN (alike + 1) / 2 ELSE 1 END AS wins
    FROM ordered
  ) AS decided
  WHERE wins
  GROUP BY asset_id
)
SELECT asset_id, upper(symbol) AS symbol, name, nullif(price_usd, 0) AS price_usd, CASE WHEN
  nullif(price_usd, 0) IS NOT NULL THEN id END AS price_usd_listing_id, nullif(market_cap_usd, 0) AS
  market_cap_usd, CASE WHEN nullif(market_cap_usd, 0) IS NOT NULL THEN id END AS
  market_cap_usd_listing_id, volume_24h_usd AS volume_24h_usd, CASE WHEN volume_24h_usd IS NOT NULL
  THEN id END AS volume_24h_usd_listing_id, nullif(circulating_supply, 0) AS circulating_supply,
  CASE WHEN nullif(circulating_supply, 0) IS NOT NULL THEN id END AS circulating_supply_listing_id,
  nullif(total_supply, 0) AS total_supply, CASE WHEN nullif(total_supply, 0) IS NOT NULL THEN id END
  AS total_supply_listing_id, nullif(max_supply, 0) AS max_supply, CASE WHEN nullif(max_supply, 0)
  IS NOT NULL THEN id END AS max_supply_listing_id, observed_at,
       1::smallint AS source_count, ARRAY[source]::text[] AS sources,
       NULL::numeric AS price_spread_percent, false AS divergent
FROM dated WHERE size = 1
UNION ALL
SELECT asset_id, symbol, name, c.price_usd, c.price_usd_listing_id, c.market_cap_usd,
  c.market_cap_usd_listing_id, c.volume_24h_usd, c.volume_24h_usd_listing_id, c.circulating_supply,
  c.circulating_supply_listing_id, c.total_supply, c.total_supply_listing_id, c.max_supply,
  c.max_supply_listing_id, observed_at, source_count, sources,
       price_spread_percent, coalesce(divergent, false)
FROM (
  SELECT asset_id,
         (array_agg(upper(symbol) ORDER BY source, external_id))[1] AS symbol,
         (array_agg(name ORDER BY source, external_id))[1] AS name,
         max(observed_at) AS observed_at,
         count(DISTINCT source)::smallint AS source_count,
         array_agg(DISTINCT source ORDER BY source)::text[] AS sources
  FROM dated WHERE size > 1 GROUP BY asset_id
) AS labelled
LEFT JOIN chosen AS c USING (asset_id)
