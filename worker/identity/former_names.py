"""In SQL, what else an asset is or was called."""


def _in_one_line(label: str) -> str:
    return rf"regexp_replace({label}, '\s+', ' ', 'g')"


def _compared(label: str) -> str:
    # A symbol is stored in capitals, from which not every small letter comes back.
    return f"lower(upper({_in_one_line(label)}))"


FORMER_NAMES = f"""(
  SELECT coalesce(string_agg(label, chr(10) ORDER BY label), '')
  FROM (
    SELECT min({_in_one_line("said.label")} COLLATE "C") AS label
    FROM listings AS l
    JOIN listing_names AS k ON k.listing_id = l.id
    CROSS JOIN LATERAL (VALUES (k.name), (k.symbol)) AS said (label)
    WHERE l.asset_id = a.id AND said.label <> ''
      AND {_compared("said.label")} NOT IN ({_compared("a.name")}, {_compared("a.symbol")})
    GROUP BY {_compared("said.label")}
  ) AS labels
)"""
"""The names and symbols that the listings of asset `a` have or had, and it has not: one a line.

Two that differ in capitals or white space alone count as one.
"""
