"""In SQL, what else an asset is or was called."""


def _in_one_line(label: str) -> str:
    return rf"regexp_replace({label}, '\s+', ' ', 'g')"


def _compared(label: str) -> str:
    # A symbol is stored in capitals, from which not every small letter comes back.
    return f"lower(upper({_in_one_line(label)}))"


STATEMENT = """(
  SELECT coalesce(string_agg(label, chr(10) ORDER BY label), '')
  FROM (
    SELECT min({in_one_line} COLLATE "C") AS label
    FROM listings AS l
    CROSS JOIN LATERAL (
      -- `OFFSET 0` has them looked up by their key, however many listings Postgres expects
      SELECT name, symbol FROM listing_names WHERE listing_id = l.id OFFSET 0
    ) AS k
    CROSS JOIN LATERAL (VALUES (k.name), (k.symbol)) AS said (label)
    -- Nearly all are called the same: that is seen at once, before white space is looked for.
    WHERE l.asset_id = a.id AND said.label <> '' AND said.label <> a.name
      AND upper(said.label) <> a.symbol
      AND {compared} NOT IN ({name}, {symbol})
    GROUP BY {compared}
  ) AS labels
)"""

FORMER_NAMES = STATEMENT.format(
    in_one_line=_in_one_line("said.label"),
    compared=_compared("said.label"),
    name=_compared("a.name"),
    symbol=_compared("a.symbol"),
)
"""The names and symbols that the listings of asset `a` have or had, and it has not: one a line.

Two that differ in capitals or white space alone count as one.
"""
