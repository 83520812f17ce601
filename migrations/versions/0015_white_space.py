"""Former names of assets, with white space recognised alike in every database.

Which characters `\\s` matched depended on the locale of the database.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

WHITE_SPACE = r"[\t-\r\u001c-\u001f \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"


def _in_one_line(label: str) -> str:
    return f"regexp_replace({label}, '{WHITE_SPACE}+', ' ', 'g')"


def _compared(label: str) -> str:
    return f"lower(upper({_in_one_line(label)}))"


# As the worker does it at this revision.
UPDATE_FORMER_NAMES = f"""
WITH said AS MATERIALIZED (
  SELECT a.id, (
    SELECT coalesce(string_agg(label, chr(10) ORDER BY label), '')
    FROM (
      SELECT min({_in_one_line("said.label")} COLLATE "C") AS label
      FROM listings AS l
      CROSS JOIN LATERAL (
        SELECT name, symbol FROM listing_names WHERE listing_id = l.id OFFSET 0
      ) AS k
      CROSS JOIN LATERAL (VALUES (k.name), (k.symbol)) AS said (label)
      WHERE l.asset_id = a.id AND said.label <> '' AND said.label <> a.name
        AND upper(said.label) <> a.symbol
        AND {_compared("said.label")} NOT IN ({_compared("a.name")}, {_compared("a.symbol")})
      GROUP BY {_compared("said.label")}
    ) AS labels
  ) AS former_names
  FROM assets AS a
)
UPDATE assets AS a
SET former_names = s.former_names,
    version = nextval('asset_version'), updated_at = clock_timestamp()
FROM said AS s
WHERE a.id = s.id AND a.former_names <> s.former_names
"""


def upgrade() -> None:
    op.execute("SET LOCAL statement_timeout = 0")
    # Versions rise in commit order only if nobody else writes assets. Readers go on.
    op.execute("LOCK TABLE assets IN SHARE ROW EXCLUSIVE MODE")
    op.execute(UPDATE_FORMER_NAMES)


def downgrade() -> None:
    """Change nothing: the previous release recalculates a former name when it changes."""
