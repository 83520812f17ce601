-- The contracts of coins. `contract_claims` has the newest content of each record of a contract list,
-- and when it was last seen; `contracts` is derived from all claims of a list. The newest record is the
-- greatest by (observed_at, payload_hash), so the order of arrival does not change the result. `{raw}`
-- is the raw table of the list.

-- name: create_staging
CREATE TEMPORARY TABLE IF NOT EXISTS staged_claims (
  external_id text NOT NULL,
  observed_at timestamptz NOT NULL,
  coin text NOT NULL,
  contracts jsonb NOT NULL,
  payload jsonb NOT NULL
) ON COMMIT DELETE ROWS;
-- The claims of stored raw records that were read again.
CREATE TEMPORARY TABLE IF NOT EXISTS reread_claims (
  external_id text NOT NULL,
  observed_at timestamptz NOT NULL,
  coin text NOT NULL,
  contracts jsonb NOT NULL,
  payload_hash bytea NOT NULL
) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS changed_contracts (
  external_id text NOT NULL,
  chain text NOT NULL,
  address text NOT NULL,
  is_gone boolean NOT NULL
) ON COMMIT DELETE ROWS

-- name: insert_raw
-- A record with the content of its predecessor is not stored again; only the time when it was last seen
-- changes. Returns the number of new records.
WITH received AS MATERIALIZED (
  SELECT DISTINCT ON (observed_at, external_id, payload_hash) *
  FROM (
    SELECT *, substr(sha256(convert_to(payload::text, 'UTF8')), 1, 16) AS payload_hash
    FROM staged_claims OFFSET 0
  ) AS hashed
), added AS (
  INSERT INTO {raw} (observed_at, external_id, payload_hash, run_id, payload)
  SELECT observed_at, external_id, payload_hash, :run_id, payload
  FROM received AS f
  WHERE NOT EXISTS (
      SELECT FROM contract_claims AS c
      WHERE c.source = :source AND c.external_id = f.external_id
        AND c.payload_hash = f.payload_hash)
    AND NOT EXISTS (
      SELECT FROM {raw} AS r
      WHERE r.observed_at = f.observed_at AND r.external_id = f.external_id
        AND r.payload_hash = f.payload_hash)
  RETURNING 1
), claimed AS (
  INSERT INTO contract_claims AS c (source, external_id, observed_at, payload_hash, coin, contracts)
  SELECT DISTINCT ON (external_id) :source, external_id, observed_at, payload_hash, coin, contracts
  FROM received ORDER BY external_id, observed_at DESC, payload_hash DESC
  ON CONFLICT (source, external_id) DO UPDATE
  SET observed_at = excluded.observed_at, payload_hash = excluded.payload_hash,
      coin = excluded.coin, contracts = excluded.contracts
  WHERE (c.observed_at, c.payload_hash) < (excluded.observed_at, excluded.payload_hash)
)
SELECT count(*) FROM added

-- name: find_changed_contracts
-- The differences between `contracts` and the claims.
WITH named AS (
  SELECT c.coin, pair ->> 0 AS chain, pair ->> 1 AS address, c.observed_at,
         max(c.observed_at) OVER (PARTITION BY pair) AS newest
  FROM contract_claims AS c CROSS JOIN LATERAL jsonb_array_elements(c.contracts) AS pair
  WHERE c.source = :source
), claimed AS (
  SELECT DISTINCT coin AS external_id, chain, address FROM named
  WHERE NOT :newest_claim_wins OR observed_at = newest
), stored AS (
  SELECT external_id, chain, address FROM contracts WHERE source = :listed_by
)
INSERT INTO changed_contracts
SELECT external_id, chain, address, false FROM (TABLE claimed EXCEPT TABLE stored) AS new
UNION ALL
SELECT external_id, chain, address, true FROM (TABLE stored EXCEPT TABLE claimed) AS gone

-- name: apply_changed_contracts
WITH gone AS (
  DELETE FROM contracts AS c USING changed_contracts AS d
  WHERE d.is_gone AND c.source = :listed_by
    AND (c.external_id, c.chain, c.address) = (d.external_id, d.chain, d.address)
)
INSERT INTO contracts (source, external_id, chain, address)
SELECT :listed_by, external_id, chain, address FROM changed_contracts WHERE NOT is_gone

-- name: touch_keys
-- Identity decides again on listings whose contracts changed, on other listings with one of these
-- contracts, and on all listings of their assets: a removed contract may have been the only evidence
-- that linked them.
WITH affected AS (
  SELECT :listed_by AS source, external_id FROM changed_contracts
  UNION
  SELECT source, external_id FROM contracts
  WHERE (chain, address) IN (SELECT chain, address FROM changed_contracts)
)
INSERT INTO touched_keys
SELECT DISTINCT o.symbol_key, o.name_key
FROM affected AS c
JOIN listings AS l ON l.source = c.source AND l.external_id = c.external_id
JOIN listings AS o ON o.asset_id = l.asset_id

-- name: rebuild_claims
-- The newest record of each claim stays the same, and its content is updated. A missing claim is
-- created from the newest record.
INSERT INTO contract_claims AS c (source, external_id, observed_at, payload_hash, coin, contracts)
SELECT DISTINCT ON (external_id) :source, external_id, observed_at, payload_hash, coin, contracts
FROM reread_claims AS r
WHERE NOT EXISTS (
  SELECT FROM contract_claims AS k
  WHERE k.source = :source AND k.external_id = r.external_id
    AND (k.observed_at, k.payload_hash) > (r.observed_at, r.payload_hash)
    AND k.payload_hash <> r.payload_hash)
ORDER BY external_id, observed_at DESC, payload_hash DESC
ON CONFLICT (source, external_id) DO UPDATE
SET observed_at = greatest(c.observed_at, excluded.observed_at),
    payload_hash = excluded.payload_hash, coin = excluded.coin, contracts = excluded.contracts
WHERE (c.payload_hash, c.coin, c.contracts)
      IS DISTINCT FROM (excluded.payload_hash, excluded.coin, excluded.contracts)

-- name: delete_unfounded_claims
DELETE FROM contract_claims AS c
WHERE c.source = :source
  AND NOT EXISTS (SELECT FROM {raw} AS r WHERE r.external_id = c.external_id
                    AND r.payload_hash = c.payload_hash AND r.observed_at <= c.observed_at)

-- name: claims_have_their_raw
SELECT 'claim ' || c.source || ':' || c.external_id AS what,
       'has no raw record' AS why
FROM contract_claims AS c
WHERE c.source = :source
  AND NOT EXISTS (SELECT FROM {raw} AS r WHERE r.external_id = c.external_id
                    AND r.payload_hash = c.payload_hash AND r.observed_at <= c.observed_at)

-- name: claims_are_the_newest
SELECT DISTINCT 'raw {source}:' || r.external_id || ' at ' || r.observed_at AS what,
       'is newer than the record of its claim' AS why
FROM {raw} AS r
LEFT JOIN contract_claims AS c ON c.source = :source AND c.external_id = r.external_id
WHERE c.external_id IS NULL
   OR (c.observed_at, c.payload_hash) < (r.observed_at, r.payload_hash)

-- name: contracts_say_what_was_claimed
SELECT 'contract of ' || :listed_by || ':' || external_id || ' on ' || chain AS what,
       CASE WHEN is_gone THEN address || ' is claimed by no record'
            ELSE address || ' is claimed, but missing' END AS why
FROM changed_contracts

-- name: empty_changed_contracts
TRUNCATE changed_contracts

-- name: claims_say_what_raw_says
-- Compares with the raw records in `reread_claims`.
SELECT 'claim {source}:' || r.external_id AS what, 'differs from its raw record' AS why
FROM reread_claims AS r
JOIN contract_claims AS c ON c.source = :source AND c.external_id = r.external_id
                         AND c.payload_hash = r.payload_hash
WHERE (c.coin, c.contracts) IS DISTINCT FROM (r.coin, r.contracts)

-- name: empty_reread_claims
TRUNCATE reread_claims

-- name: fingerprint_raw
-- The time of a record depends on which response came first, so it is not part of the fingerprint.
SELECT count(*) AS records,
       sum(hashtextextended(concat_ws(' ', external_id, payload_hash), 0)::numeric) AS digest
FROM (SELECT DISTINCT external_id, payload_hash FROM {raw}) AS records

-- name: fingerprint_claims
-- The time is by our clock, so it is not part of the fingerprint.
SELECT count(*) AS records,
       sum(hashtextextended(ROW(source, external_id, payload_hash, coin, contracts)::text,
                            0)::numeric) AS digest
FROM contract_claims

-- name: fingerprint_contracts
SELECT count(*) AS records,
       sum(hashtextextended(ROW(source, external_id, chain, address)::text, 0)::numeric) AS digest
FROM contracts
