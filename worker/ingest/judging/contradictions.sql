-- name: find_differing
-- Records of some runs with the same listing and instant but different values. An import also counts
-- those that were stored before and that it received again (`received_again`; empty in other runs).
-- With the span of the runs' observations, Postgres reads no other partition.
WITH differing AS MATERIALIZED (
  SELECT listing_id, observed_at, count(*) AS records
  FROM (
    SELECT listing_id, observed_at, {values} FROM observations
    WHERE run_id = ANY(CAST(:run_ids AS integer[]))
      AND observed_at >= CAST(:start AS timestamptz) AND observed_at < CAST(:end AS timestamptz)
    UNION ALL
    SELECT o.listing_id, o.observed_at, {o_values}
    FROM received_again AS r JOIN observations AS o USING (listing_id, observed_at, payload_hash)
    WHERE o.run_id <> ALL(CAST(:run_ids AS integer[]))
      AND o.observed_at >= CAST(:start AS timestamptz) AND o.observed_at < CAST(:end AS timestamptz)
  ) AS received
  GROUP BY listing_id, observed_at HAVING count(DISTINCT ROW({values})) > 1
)
SELECT l.external_id, d.observed_at, (SELECT sum(records) FROM differing)::bigint AS records
FROM differing AS d JOIN listings AS l ON l.id = d.listing_id
ORDER BY d.observed_at, l.external_id LIMIT :examples
