"""SQL for the other names of an asset, present and former."""

WHITE_SPACE = r"[\t-\r\u001c-\u001f \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
r"""The characters at which Python's `str.split` splits. `\s` depends on the database's locale."""


def _in_one_line(label: str) -> str:
    return f"regexp_replace({label}, '{WHITE_SPACE}+', ' ', 'g')"


def _compared(label: str) -> str:
    # A symbol is stored in capitals, and not every lower-case letter can be restored from that.
    return f"lower(upper({_in_one_line(label)}))"


STATEMENT = """(
  SELECT coalesce(string_agg(label, chr(10) ORDER BY label), '')
  FROM (
    SELECT min({in_one_line} COLLATE "C") AS label
    FROM listings AS l
    CROSS JOIN LATERAL (
      -- `OFFSET 0`: looked up by key, however many listings Postgres expects
      SELECT name, symbol FROM listing_names WHERE listing_id = l.id OFFSET 0
    ) AS k
    CROSS JOIN LATERAL (VALUES (k.name), (k.symbol)) AS said (label)
    -- Nearly all names are equal: that is checked first, before white space.
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
"""Present and former names and symbols of asset `a`'s listings, except its own, one per line.

Two that differ only in capitals or white space count as one.
"""
