-- The statements of one batch, in the order in which they run, all in one transaction.
--
-- transaction.py fills in `{raw}`, the source's raw table, and `{values}`, the value columns of an
-- observation. Temporary tables live as long as the connection and are emptied at each COMMIT. The
-- values of a listing are those of its newest record by the source's clock. Among records of one
-- instant the one received last `prevails`; this is stored with the records, so that a rebuild restores
-- it. Between instants the order of arrival does not matter.

-- name: create_staging
CREATE TEMPORARY TABLE IF NOT EXISTS staging (
  place bigint GENERATED ALWAYS AS IDENTITY,  -- the order in which records were received
  external_id text NOT NULL,
  observed_at timestamptz NOT NULL,
  symbol text NOT NULL,
  name text NOT NULL,
  symbol_key text NOT NULL,
  name_key text NOT NULL,
  {typed_values},
  received_digest bytea,
  payload jsonb NOT NULL
) ON COMMIT DELETE ROWS;
-- The records of the batch that are not stored yet, each once, and stored records that were received
-- again after another record of their instant (`is_returned`) and now prevail over it.
CREATE TEMPORARY TABLE IF NOT EXISTS fresh (
  external_id text NOT NULL,
  observed_at timestamptz NOT NULL,
  payload_hash bytea NOT NULL,
  is_returned boolean NOT NULL,
  prevails boolean NOT NULL,
  run_id integer NOT NULL,
  symbol text NOT NULL,
  name text NOT NULL,
  symbol_key text NOT NULL,
  name_key text NOT NULL,
  {typed_values},
  received_digest bytea
) ON COMMIT DELETE ROWS;
-- The newest record of each listing in the batch, with the present values of the listing. For a new
-- listing (`is_new`) the ids of the listing and of its asset are allocated here.
CREATE TEMPORARY TABLE IF NOT EXISTS newest (
  LIKE fresh,
  listing_id integer NOT NULL,
  asset_id integer NOT NULL,
  is_new boolean NOT NULL,
  is_newer boolean NOT NULL,
  old_symbol_key text,
  old_name_key text,
  old_price_usd numeric,
  old_symbol text,
  old_name text,
  old_observed_at timestamptz
) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS staging_rejects (
  external_id text,
  position text NOT NULL,
  reasons jsonb NOT NULL,
  payload bytea NOT NULL
) ON COMMIT DELETE ROWS;
-- Stored records that an import received again (`note_received_again`), until the next run.
CREATE TEMPORARY TABLE IF NOT EXISTS received_again (
  listing_id integer,
  observed_at timestamptz,
  payload_hash bytea,
  PRIMARY KEY (listing_id, observed_at, payload_hash)
);
TRUNCATE received_again

-- name: find_newest
-- In a rebuild the newest record in `fresh` is the newest one stored, so it replaces the values of the
-- listing in any case.
INSERT INTO newest
SELECT DISTINCT ON (f.external_id)
       f.*,
       coalesce(l.id, nextval((SELECT pg_get_serial_sequence('listings', 'id')::regclass))),
       coalesce(l.asset_id, nextval((SELECT pg_get_serial_sequence('assets', 'id')::regclass))),
       l.id IS NULL,
       l.id IS NULL OR :rebuild
         OR l.observed_at < f.observed_at
         OR l.observed_at = f.observed_at AND l.payload_hash <> f.payload_hash AND f.prevails,
       l.symbol_key, l.name_key,
       CASE WHEN l.observed_at <= f.observed_at THEN l.price_usd END,
       l.symbol, l.name, l.observed_at
FROM fresh AS f
LEFT JOIN LATERAL (
  -- `OFFSET 0` forces a lookup by key, whatever number of rows Postgres estimates for `fresh`
  SELECT * FROM listings WHERE source = :source AND external_id = f.external_id OFFSET 0
) AS l ON true
ORDER BY f.external_id, f.observed_at DESC, f.prevails DESC

-- name: insert_pending_ids
-- New ids with the symbol and name of a listing that existed before this run become pending if they are
-- most of the records of the run so far: then the source changed its ids, not its coins.
INSERT INTO pending_ids (source, external_id)
SELECT :source, n.external_id
FROM (
  SELECT n.external_id, count(*) OVER () AS replaced
  FROM newest AS n
  WHERE {replaces_known}
) AS n
JOIN runs AS r ON r.id = :run_id AND r.command = 'run'
WHERE r.ids_replaced + n.replaced >= :fewest
  AND 2 * (r.ids_replaced + n.replaced) > r.records_fetched + :fetched
ON CONFLICT DO NOTHING

-- name: find_touched_keys
-- Symbols and names that a listing has or had before a rename. A delisted listing counts in any case:
-- the time of its last observation decides which listing can be its successor.
INSERT INTO touched_keys
SELECT DISTINCT k.symbol_key, k.name_key
FROM newest AS n
LEFT JOIN listings AS l ON l.id = n.listing_id
CROSS JOIN LATERAL (
  VALUES (n.symbol_key, n.name_key), (n.old_symbol_key, n.old_name_key)
) AS k (symbol_key, name_key)
WHERE k.symbol_key IS NOT NULL
  AND n.is_newer
  AND ((n.old_symbol_key, n.old_name_key) IS DISTINCT FROM (n.symbol_key, n.name_key)
       OR l.delisted_at IS NOT NULL)

-- name: insert_assets
-- Every new listing starts as an asset of its own, which gets its slug after identity has decided.
INSERT INTO assets (id, slug, symbol, name) OVERRIDING SYSTEM VALUE
SELECT asset_id, '~' || asset_id, upper(symbol), name FROM newest WHERE is_new

-- name: insert_listings
INSERT INTO listings (id, asset_id, run_id, source, external_id, symbol, name, symbol_key, name_key,
                      observed_at, payload_hash, received_digest, {values},
                      match_method, match_score, match_evidence)
OVERRIDING SYSTEM VALUE
SELECT listing_id, asset_id, run_id, :source, external_id, symbol, name, symbol_key, name_key,
       observed_at, payload_hash, received_digest, {values}, 'own', 1, '{{}}'
FROM newest WHERE is_new

-- name: update_listings
-- Separate from the INSERT: an upsert would allocate an id for each existing listing, and exhaust 2^31
-- ids within a year. A rebuild writes only listings that differ.
UPDATE listings AS l
SET run_id = n.run_id, symbol = n.symbol, name = n.name,
    symbol_key = n.symbol_key, name_key = n.name_key,
    observed_at = n.observed_at, payload_hash = n.payload_hash,
    received_digest = n.received_digest, {set_values}, updated_at = now()
FROM newest AS n
WHERE l.id = n.listing_id AND n.is_newer AND NOT n.is_new
  AND (NOT :rebuild
       OR (l.symbol, l.name, l.symbol_key, l.name_key, l.observed_at, l.payload_hash, l.run_id,
           {l_values})
          IS DISTINCT FROM
          (n.symbol, n.name, n.symbol_key, n.name_key, n.observed_at, n.payload_hash, n.run_id,
           {n_values}))

-- name: insert_observations
-- If the batch has records of stored instants, `revise_observations` runs first.
INSERT INTO observations (listing_id, observed_at, payload_hash, superseded_at, run_id, {values})
SELECT n.listing_id, f.observed_at, f.payload_hash, CASE WHEN NOT f.prevails THEN now() END,
       f.run_id, {f_values}
FROM fresh AS f JOIN newest AS n USING (external_id) WHERE NOT f.is_returned

-- name: revise_observations
UPDATE observations AS o
SET {observations_received}
FROM fresh AS f JOIN newest AS n USING (external_id)
WHERE f.prevails AND o.listing_id = n.listing_id AND o.observed_at = f.observed_at
  AND (o.superseded_at IS NULL OR o.payload_hash = f.payload_hash)

-- name: note_received_again
-- Records of an import that were stored before, if their instant has several records. They contradict
-- each other if the import has more than one of them, in whichever batches.
INSERT INTO received_again
SELECT o.listing_id, o.observed_at, o.payload_hash
FROM staging AS s
CROSS JOIN LATERAL (
  SELECT id FROM listings WHERE source = :source AND external_id = s.external_id OFFSET 0
) AS l
CROSS JOIN LATERAL (
  SELECT listing_id, observed_at, payload_hash, run_id, count(*) OVER () AS records
  FROM observations WHERE listing_id = l.id AND observed_at = s.observed_at OFFSET 0
) AS o
WHERE o.records > 1 AND o.run_id <> :run_id
  AND o.payload_hash = substr(sha256(convert_to(s.payload::text, 'UTF8')), 1, 16)
ON CONFLICT DO NOTHING

-- name: find_revision
-- One record of the batch that supersedes another, with both prices; if possible, one whose price
-- changed. Each is looked up by its key.
SELECT f.external_id, f.observed_at, f.price_usd, o.price_usd AS was
FROM fresh AS f JOIN newest AS n USING (external_id)
CROSS JOIN LATERAL (
  SELECT price_usd FROM observations
  WHERE listing_id = n.listing_id AND observed_at = f.observed_at
    AND payload_hash <> f.payload_hash AND superseded_at = now() AND ingested_at < now()
  OFFSET 0
) AS o
WHERE f.prevails
ORDER BY o.price_usd IS NOT DISTINCT FROM f.price_usd, f.observed_at, f.external_id
LIMIT 1

-- name: unify_assets
-- Updates the assets of the batch's listings, and the `moved` assets. unified.sql computes the values.
-- An asset whose values are the same as before keeps its version. Values are also compared as text,
-- because 1 and 1.0 are equal but displayed differently. `updated_at` is the clock's time, not the
-- start of the transaction: under the identity lock it then rises with the versions.
WITH touched AS (
  SELECT asset_id FROM newest WHERE is_newer UNION SELECT unnest(CAST(:moved AS integer[]))
),
unified AS ({unified_of_touched})
UPDATE assets AS a
SET symbol = u.symbol, name = u.name, {set_unified},
    version = nextval('asset_version'), updated_at = clock_timestamp()
FROM unified AS u
WHERE a.id = u.asset_id
  AND ((a.symbol, a.name, {a_unified}) IS DISTINCT FROM (u.symbol, u.name, {u_unified})
       OR ROW({a_unified})::text <> ROW({u_unified})::text)

-- name: resolve_rejects
-- Resolve rejects that passed when they were read again.
UPDATE rejects SET resolved_at = now() WHERE id = ANY(CAST(:ids AS bigint[]))

-- name: update_reasons
-- Rejects that were read again and refused again stay open, with their present reasons. The source did
-- not send them again, so they do not count as seen again.
UPDATE rejects AS r
SET reasons = a.reasons, external_id = coalesce(r.external_id, a.external_id)
FROM jsonb_to_recordset(CAST(:refused AS jsonb))
  AS a (id bigint, reasons jsonb, external_id text)
WHERE r.id = a.id

-- name: insert_rejects
-- One row for each refused payload, however often it is received. If two files lead to different
-- reasons, the lesser reasons are stored, whatever the order of the files; a resolved reject gets the
-- new reasons. A dismissed reject stays dismissed. `file` is the last file with the payload.
-- Returns the number of dismissed records in the batch.
WITH refused AS MATERIALIZED (
  SELECT min(external_id) AS external_id, min(position) AS position,
         (array_agg(reasons ORDER BY reasons))[1] AS reasons, payload,
         substr(sha256(payload), 1, 16) AS payload_hash, count(*) AS times_seen
  FROM staging_rejects GROUP BY payload
), inserted AS (
  INSERT INTO rejects AS r (source, external_id, position, reasons, payload, payload_hash,
                            first_run_id, last_run_id, times_seen, file, declaration)
  SELECT :source, external_id, position, reasons, payload, payload_hash,
         :run_id, :run_id, times_seen, CAST(:file AS text), CAST(:declaration AS text)
  FROM refused
  ON CONFLICT (source, payload_hash) DO UPDATE
  SET reasons = CASE WHEN r.resolved_at IS NULL THEN least(r.reasons, excluded.reasons)
                     ELSE excluded.reasons END,
      external_id = coalesce(r.external_id, excluded.external_id),
      last_run_id = excluded.last_run_id, last_seen_at = now(),
      times_seen = r.times_seen + excluded.times_seen,
      resolved_at = CASE WHEN r.dismissed_reason IS NOT NULL THEN r.resolved_at END,
      declaration = excluded.declaration, file = excluded.file
  RETURNING r.payload_hash, r.dismissed_reason
)
SELECT coalesce(sum(f.times_seen), 0)::bigint
FROM refused AS f JOIN inserted AS i USING (payload_hash) WHERE i.dismissed_reason IS NOT NULL

-- name: resolve_superseded_rejects
-- A file was read from its first row to its end under one declaration. Its rejects under another
-- declaration are resolved: their rows were read again, and loaded or refused again. Rejects of version
-- 0.1.0 have only the name of their file, which files in other folders may share; they stay open.
UPDATE rejects SET resolved_at = now()
WHERE source = :source AND resolved_at IS NULL AND last_run_id < :run_id
  AND file = :file AND declaration <> :declaration

-- name: count_batch
UPDATE runs
SET batches = batches + 1,
    phase_seconds = CAST(:phase_seconds AS jsonb),
    records_fetched = records_fetched + :fetched,
    records_new = records_new + :new,
    records_unchanged = records_unchanged + :unchanged,
    records_rejected = records_rejected + :rejected,
    records_revised = records_revised + :revised,
    records_unreadable = records_unreadable + :unreadable,
    reads_anew = reads_anew OR :reads_anew
WHERE id = :run_id

-- name: count_changes
-- A price jumped if it is more than twice or less than half the earlier price of the listing. The
-- newest record of each listing is compared, if the listing's earlier price is not newer. While the
-- prices of a source are shifted, the earlier price is that of the last successful run
-- (`:reference_run`).
-- An id is replaced if a new id has the symbol and name of a listing that existed before this run, or
-- if it did so in an earlier run and is still pending.
UPDATE runs
SET prices_compared = prices_compared + prices.compared,
    prices_jumped = prices_jumped + prices.jumped,
    ids_replaced = runs.ids_replaced + prices.ids_replaced + pending.ids
FROM (
  SELECT count(*) FILTER (WHERE was > 0 AND is_now > 0) AS compared,
         count(*) FILTER (WHERE was > 0 AND is_now > 0 AND (is_now > 2 * was OR 2 * is_now < was))
           AS jumped,
         count(*) FILTER (WHERE is_replaced) AS ids_replaced
  FROM (
    SELECT n.price_usd AS is_now,
           CASE WHEN n.old_price_usd IS NULL OR CAST(:reference_run AS integer) IS NULL THEN n.old_price_usd
                ELSE coalesce((
                  SELECT o.price_usd FROM observations AS o
                  WHERE o.listing_id = n.listing_id AND o.run_id <= :reference_run
                    AND o.observed_at <= n.observed_at
                  ORDER BY o.observed_at DESC, o.superseded_at DESC NULLS FIRST LIMIT 1
                ), n.old_price_usd) END AS was,
           {replaces_known} AND NOT EXISTS (
             SELECT FROM pending_ids WHERE source = :source AND external_id = n.external_id
           ) AS is_replaced
    FROM newest AS n
  ) AS each
) AS prices, (
  SELECT count(DISTINCT s.external_id) AS ids
  FROM pending_ids AS p JOIN staging AS s ON s.external_id = p.external_id WHERE p.source = :source
) AS pending
WHERE id = :run_id

-- name: move_checkpoint
-- An import does not change the cursor of the source.
INSERT INTO checkpoints AS c (source, run_id, cursor, validators, batches, records_fetched,
                              records_new, records_unchanged, records_rejected, snapshot_progress)
VALUES (:source, :run_id, CAST(:cursor AS jsonb), jsonb_strip_nulls(CAST(:validators AS jsonb)), 1,
        :fetched, :new, :unchanged, :rejected, CASE WHEN :moves_cursor THEN :progress ELSE 0 END)
ON CONFLICT (source) DO UPDATE
SET run_id = excluded.run_id,
    cursor = CASE WHEN :moves_cursor THEN excluded.cursor ELSE c.cursor END,
    validators = jsonb_strip_nulls(c.validators || CAST(:validators AS jsonb)),
    batches = c.batches + 1,
    records_fetched = c.records_fetched + excluded.records_fetched,
    records_new = c.records_new + excluded.records_new,
    records_unchanged = c.records_unchanged + excluded.records_unchanged,
    records_rejected = c.records_rejected + excluded.records_rejected,
    snapshot_progress = CASE WHEN :moves_cursor THEN excluded.snapshot_progress
                             ELSE c.snapshot_progress END,
    -- Cursors over past states compare this time, and the server's clock can be set back.
    updated_at = greatest(c.updated_at, now())
