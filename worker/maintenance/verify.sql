-- The invariants of a database, as queries that return the rows violating them: `what` names the
-- row, `why` describes the damage. `{raw}` is the raw table of a source.

-- name: lock_raw
-- Taken before the snapshot, so that `worker prune` does not drop a partition that the snapshot still
-- has; it retries until the check ends. Readers and writers do not wait.
LOCK TABLE {raw} IN ACCESS SHARE MODE

-- name: checkpoints_add_up
SELECT c.source AS what,
       format('the checkpoint counts %s batches, %s fetched, %s new, %s unchanged, %s rejected, but '
              'its runs %s, %s, %s, %s, %s', c.batches, c.records_fetched, c.records_new,
              c.records_unchanged, c.records_rejected,
              r.batches, r.fetched, r.new, r.unchanged, r.rejected) AS why
FROM checkpoints AS c
CROSS JOIN LATERAL (
  SELECT coalesce(sum(records_fetched), 0) AS fetched, coalesce(sum(records_new), 0) AS new,
         coalesce(sum(records_unchanged), 0) AS unchanged,
         coalesce(sum(records_rejected), 0) AS rejected, coalesce(sum(batches), 0) AS batches
  FROM runs WHERE runs.source = c.source
) AS r
WHERE (c.batches, c.records_fetched, c.records_new, c.records_unchanged, c.records_rejected)
      <> (r.batches, r.fetched, r.new, r.unchanged, r.rejected)

-- name: rejects_are_stored
-- A run with too many rejects stores some payloads and counts the others; old ones were pruned.
SELECT r.source AS what,
       format('runs rejected %s records, but %s are stored, %s were not stored and %s were pruned',
              r.rejected, coalesce(s.seen, 0), r.dropped, coalesce(p.seen, 0)) AS why
FROM (SELECT source, sum(records_rejected) AS rejected, sum(rejects_dropped) AS dropped
      FROM runs GROUP BY source) AS r
LEFT JOIN (SELECT source, sum(times_seen) AS seen FROM rejects GROUP BY source) AS s
       USING (source)
LEFT JOIN (SELECT source, sum(times_seen) AS seen FROM pruned_rejects GROUP BY source) AS p
       USING (source)
WHERE r.rejected <> coalesce(s.seen, 0) + r.dropped + coalesce(p.seen, 0)

-- name: rejects_are_sound
SELECT 'reject ' || r.id || ' (' || r.source || ')' AS what,
       CASE WHEN r.payload_hash <> substr(sha256(r.payload), 1, 16)
            THEN 'its payload does not match its hash'
            ELSE format('first seen by run %s, last seen by run %s: not runs of its source in order',
                        r.first_run_id, r.last_run_id) END AS why
FROM rejects AS r
WHERE r.payload_hash <> substr(sha256(r.payload), 1, 16)
   OR r.first_run_id > r.last_run_id
   OR NOT EXISTS (SELECT FROM runs WHERE id = r.first_run_id AND source = r.source)
   OR NOT EXISTS (SELECT FROM runs WHERE id = r.last_run_id AND source = r.source)

-- name: checkpoints_have_their_run
SELECT c.source AS what, format('the checkpoint names run %s of another source', c.run_id) AS why
FROM checkpoints AS c
WHERE NOT EXISTS (SELECT FROM runs WHERE id = c.run_id AND source = c.source)

-- name: runs_are_closed
-- A run that is `running` is in progress, or the next run closes it.
SELECT 'run ' || id AS what,
       format('%s, but finished at %s', outcome, coalesce(finished_at::text, 'no time')) AS why
FROM runs
WHERE (outcome = 'running') <> (finished_at IS NULL) OR finished_at < started_at

-- name: versions_were_drawn
SELECT 'asset ' || slug AS what,
       format('has version %s, but the last assigned version is %s', version, last_value) AS why
FROM assets, asset_version WHERE version > last_value

-- name: changes_are_recorded
-- Mirrors rely on the newest version and on the removed assets. The newest version may belong to an
-- asset that was removed in the same transaction.
SELECT 'the dataset' AS what,
       format('is recorded at version %s, but is at %s', d.version, newest.version) AS why
FROM (SELECT coalesce(max(version), 0) AS version
      FROM (SELECT version FROM assets UNION ALL SELECT version FROM removed_assets) AS each) AS newest
LEFT JOIN dataset AS d ON true
WHERE coalesce(d.version, -1) < newest.version
UNION ALL
SELECT 'asset ' || a.slug, 'exists, but is recorded as removed'
FROM removed_assets AS r JOIN assets AS a ON a.id = r.asset_id

-- name: history_is_unbroken
-- Every past version of an asset ends where a later version begins.
WITH later AS (
  SELECT id, version FROM assets
  UNION ALL SELECT id, version FROM asset_history
  UNION ALL SELECT asset_id, version FROM removed_assets
)
SELECT 'asset ' || h.slug AS what,
       format('was replaced by version %s, which is not a later version of it', h.replaced_by) AS why
FROM asset_history AS h
WHERE NOT EXISTS (
  SELECT FROM later AS l WHERE l.id = h.id AND l.version = h.replaced_by AND l.version > h.version)

-- name: assets_have_listings
SELECT 'asset ' || a.slug AS what, 'has no listing' AS why
FROM assets AS a WHERE NOT EXISTS (SELECT FROM listings WHERE asset_id = a.id)

-- name: assets_show_their_listings
SELECT 'asset ' || a.slug AS what, 'its values do not follow from its listings' AS why
FROM assets AS a JOIN ({unified_of_all}) AS u ON u.asset_id = a.id
WHERE (a.symbol, a.name, {a_unified}) IS DISTINCT FROM (u.symbol, u.name, {u_unified})

-- name: assets_show_what_they_were_called
SELECT 'asset ' || a.slug AS what, 'its former names differ from those of its listings' AS why
FROM assets AS a WHERE a.former_names <> {former_names}

-- name: listings_show_their_newest
SELECT 'listing ' || l.source || ':' || l.external_id AS what,
       CASE WHEN o.observed_at IS NULL THEN 'has no observation'
            WHEN o.observed_at > l.observed_at
            THEN format('is of %s, but its newest observation is of %s', l.observed_at, o.observed_at)
            ELSE 'its values differ from its newest observation' END AS why
FROM listings AS l
LEFT JOIN LATERAL (
  SELECT * FROM observations
  WHERE listing_id = l.id AND superseded_at IS NULL ORDER BY observed_at DESC LIMIT 1
) AS o ON true
WHERE (l.observed_at, l.payload_hash, l.run_id, {l_values})
      IS DISTINCT FROM (o.observed_at, o.payload_hash, o.run_id, {o_values})

-- name: listings_are_delisted_as_recorded
SELECT 'listing ' || l.source || ':' || l.external_id AS what,
       format('delisted since %s, expected %s', coalesce(l.delisted_at::text, 'never'),
              coalesce(d.delisted_at::text, 'never')) AS why
FROM listings AS l JOIN ({delisted_since}) AS d USING (id)
WHERE l.delisted_at IS DISTINCT FROM d.delisted_at

-- name: one_record_of_an_instant_prevails
SELECT 'listing ' || l.source || ':' || l.external_id || ' at ' || o.observed_at AS what,
       format('%s of its records at that time prevail, expected 1', o.prevailing) AS why
FROM (
  SELECT listing_id, observed_at, count(*) FILTER (WHERE superseded_at IS NULL) AS prevailing
  FROM observations GROUP BY listing_id, observed_at
) AS o JOIN listings AS l ON l.id = o.listing_id
WHERE o.prevailing <> 1

-- name: observations_have_listings
SELECT 'observation ' || o.listing_id || ' at ' || o.observed_at AS what,
       'its listing does not exist' AS why
FROM observations AS o WHERE NOT EXISTS (SELECT FROM listings WHERE id = o.listing_id)

-- name: links_follow_the_rule
SELECT 'listing ' || l.source || ':' || l.external_id AS what,
       format('is asset %s, expected %s by %s', d.from_asset_id,
              coalesce(d.to_asset_id::text, 'a new one'), d.method) AS why
FROM decisions AS d JOIN listings AS l ON l.id = d.listing_id
WHERE d.from_asset_id IS DISTINCT FROM d.to_asset_id
   OR (l.match_method, l.match_score, l.match_evidence)
      IS DISTINCT FROM (d.method, d.score, d.evidence)

-- name: matches_follow_the_rule
SELECT format('match of %s and %s', coalesce(l.source || ':' || l.external_id, 'no listing'),
              coalesce(o.source || ':' || o.external_id, 'no listing')) AS what,
       CASE WHEN m.listing_id IS NULL
            THEN format('is missing, expected %s by %s', t.verdict, t.method)
            WHEN t.listing_id IS NULL
            THEN format('is %s by %s, expected none', m.verdict, m.method)
            ELSE format('is %s by %s, expected %s by %s, or other evidence',
                        m.verdict, m.method, t.verdict, t.method) END AS why
FROM matches AS m
FULL JOIN new_matches AS t
       ON t.listing_id = m.listing_id AND t.other_listing_id = m.other_listing_id
LEFT JOIN listings AS l ON l.id = coalesce(t.listing_id, m.listing_id)
LEFT JOIN listings AS o ON o.id = coalesce(t.other_listing_id, m.other_listing_id)
WHERE (m.method, m.score, m.verdict, m.prices, m.evidence)
      IS DISTINCT FROM (t.method, t.score, t.verdict, t.prices, t.evidence)

-- name: raw_has_its_hash
SELECT 'raw {source}:' || external_id || ' at ' || observed_at AS what,
       'its payload does not match its hash' AS why
FROM {raw}
WHERE payload_hash <> substr(sha256(convert_to(payload::text, 'UTF8')), 1, 16)

-- name: raw_has_its_observation
SELECT 'raw {source}:' || r.external_id || ' at ' || r.observed_at AS what,
       'has no observation' AS why
FROM {raw} AS r
LEFT JOIN listings AS l ON l.source = '{source}' AND l.external_id = r.external_id
LEFT JOIN observations AS o ON o.listing_id = l.id AND o.observed_at = r.observed_at
                           AND o.payload_hash = r.payload_hash
WHERE o.listing_id IS NULL

-- name: observations_have_their_raw
SELECT 'observation of {source}:' || l.external_id || ' at ' || o.observed_at AS what,
       CASE WHEN r.external_id IS NULL THEN 'has no raw record'
            WHEN (r.superseded_at, r.superseded_before)
                 IS DISTINCT FROM (o.superseded_at, o.superseded_before)
            THEN 'its raw record was superseded at another time'
            ELSE 'its raw record has another run or load time' END AS why
FROM observations AS o JOIN listings AS l ON l.id = o.listing_id AND l.source = '{source}'
LEFT JOIN {raw} AS r ON r.external_id = l.external_id AND r.observed_at = o.observed_at
                    AND r.payload_hash = o.payload_hash
WHERE (r.external_id IS NULL AND NOT {o_is_pruned})
   OR r.external_id IS NOT NULL
      AND (r.run_id, r.ingested_at, r.superseded_at, r.superseded_before)
          IS DISTINCT FROM (o.run_id, o.ingested_at, o.superseded_at, o.superseded_before)

-- name: runs_stored_what_they_counted
SELECT 'run ' || r.id AS what,
       CASE WHEN r.records_new <> coalesce(n.stored, 0)
            THEN format('counted %s new records, but stored %s', r.records_new, coalesce(n.stored, 0))
            WHEN NOT r.records_revised BETWEEN 0 AND r.records_new + r.records_unchanged
            THEN format('counted %s revisions of %s new and %s unchanged records',
                        r.records_revised, r.records_new, r.records_unchanged)
            ELSE format('compared %s prices of %s new records, %s of them jumped, and found %s of '
                        '%s ids replaced', r.prices_compared, r.records_new, r.prices_jumped,
                        r.ids_replaced, r.records_fetched) END AS why
FROM runs AS r
LEFT JOIN (
  SELECT run_id, sum(records) AS stored
  FROM (SELECT run_id, count(*) AS records FROM {raw} GROUP BY run_id
        UNION ALL SELECT run_id, records FROM pruned_runs) AS each
  GROUP BY run_id
) AS n ON n.run_id = r.id
WHERE r.source = '{source}'
  AND (r.records_new <> coalesce(n.stored, 0)
       OR NOT r.records_revised BETWEEN 0 AND r.records_new + r.records_unchanged
       OR NOT (0 <= r.prices_jumped AND r.prices_jumped <= r.prices_compared
               AND r.prices_compared <= r.records_new + r.records_revised
               AND 0 <= r.ids_replaced AND r.ids_replaced <= r.records_fetched))

-- name: observations_say_what_raw_says
-- `fresh` has the raw records, read again.
SELECT 'observation of {source}:' || f.external_id || ' at ' || f.observed_at AS what,
       'its values differ from its raw record' AS why
FROM fresh AS f
JOIN listings AS l ON l.source = '{source}' AND l.external_id = f.external_id
JOIN observations AS o ON o.listing_id = l.id AND o.observed_at = f.observed_at
                      AND o.payload_hash = f.payload_hash
WHERE ({o_values}) IS DISTINCT FROM ({f_values})

-- name: listings_are_called_what_raw_says
SELECT 'listing {source}:' || l.external_id AS what,
       format('is called %s (%s), but %s (%s) in its newest raw record', l.name, l.symbol,
              f.name, f.symbol) AS why
FROM fresh AS f
JOIN listings AS l ON l.source = '{source}' AND l.external_id = f.external_id
                  AND l.observed_at = f.observed_at AND l.payload_hash = f.payload_hash
WHERE (l.symbol, l.name, l.symbol_key, l.name_key)
      IS DISTINCT FROM (f.symbol, f.name, f.symbol_key, f.name_key)

-- name: empty_fresh
TRUNCATE fresh

-- name: fingerprint_raw
SELECT count(*) AS records,
       sum(hashtextextended(concat_ws(' ', external_id, extract(epoch FROM observed_at),
                                      payload_hash), 0)::numeric) AS digest
FROM {raw}

-- name: fingerprint_observations
-- The content includes which record of an instant prevails, but not when the others were superseded.
SELECT count(*) AS records,
       sum(hashtextextended(ROW(l.source, l.external_id, extract(epoch FROM o.observed_at),
                                o.payload_hash, {o_values},
                                o.superseded_at IS NULL)::text, 0)::numeric) AS digest
FROM observations AS o JOIN listings AS l ON l.id = o.listing_id

-- name: fingerprint_listings
SELECT count(*) AS records,
       sum(hashtextextended(ROW(l.source, l.external_id, l.symbol, l.name,
                                extract(epoch FROM l.observed_at), l.payload_hash, {l_values},
                                l.match_method, l.match_score, l.match_evidence,
                                l.delisted_at IS NULL)::text, 0)::numeric)
       AS digest
FROM listings AS l

-- name: fingerprint_assets
-- Assets are identified by their listings: id and slug depend on which of them came first.
SELECT count(*) AS records,
       sum(hashtextextended(ROW(m.listings, a.symbol, a.name, {a_columns},
                                extract(epoch FROM a.observed_at), a.source_count,
                                a.price_spread_percent, a.divergent, a.active, a.former_names,
                                m.origins)::text, 0)::numeric) AS digest
FROM assets AS a
CROSS JOIN LATERAL (
  SELECT array_agg(l.source || ':' || l.external_id ORDER BY l.source, l.external_id) AS listings,
         array_agg(array_positions(ARRAY[{a_listing_ids}], l.id)::text
                   ORDER BY l.source, l.external_id) AS origins
  FROM listings AS l WHERE l.asset_id = a.id
) AS m

-- name: fingerprint_matches
SELECT count(*) AS records,
       sum(hashtextextended(ROW(l.source, l.external_id, o.source, o.external_id, m.method, m.score,
                                m.verdict, m.prices, m.evidence)::text, 0)::numeric) AS digest
FROM matches AS m
JOIN listings AS l ON l.id = m.listing_id JOIN listings AS o ON o.id = m.other_listing_id

-- name: fingerprint_names
SELECT count(*) AS records,
       sum(hashtextextended(ROW(l.source, l.external_id, k.symbol, k.name, k.symbol_key,
                                extract(epoch FROM k.first_observed_at))::text, 0)::numeric)
       AS digest
FROM listing_names AS k JOIN listings AS l ON l.id = k.listing_id

-- name: fingerprint_rejects
SELECT count(*) AS records,
       sum(hashtextextended(ROW(source, external_id, reasons, payload_hash)::text, 0)::numeric)
       AS digest
FROM rejects
