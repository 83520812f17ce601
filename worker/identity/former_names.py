"""In SQL, what else an asset is or was called."""

FORMER_NAMES = r"""(
  SELECT coalesce(string_agg(label, chr(10) ORDER BY label), '')
  FROM (
    SELECT min(said.label) AS label
    FROM listings AS l
    JOIN listing_names AS k ON k.listing_id = l.id
    CROSS JOIN LATERAL (
      VALUES (regexp_replace(k.name, '\s+', ' ', 'g') COLLATE "C"),
             (regexp_replace(k.symbol, '\s+', ' ', 'g') COLLATE "C")
    ) AS said (label)
    WHERE l.asset_id = a.id AND said.label <> ''
      AND lower(said.label) NOT IN (lower(a.name), lower(a.symbol))
    GROUP BY lower(said.label)
  ) AS labels
)"""
"""The names and symbols that the listings of asset `a` have or had, and it has not: one a line.

Two that differ in capitals alone count as one.
"""
