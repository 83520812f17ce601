"""What an asset is or was called, apart from its values and indexed for searches within it.

A search read all of `assets`; a text index there would grow with every change of a value.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0010"
branch_labels = None
depends_on = None

# Every three characters that follow one another, in built-in types: not every server has pg_trgm.
# A text that holds another one holds all of its grams, so that an index of them finds candidates.
CREATE_GRAMS = """
CREATE FUNCTION search_grams(labels text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT ARRAY(SELECT substr(labels, n, 3) FROM generate_series(1, length(labels) - 2) AS n)
$$
"""

CREATE_RECORDER = """
CREATE FUNCTION record_labels() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO asset_search (asset_id, labels) SELECT id, chr(10) || search_text FROM added;
  RETURN NULL;
END
$$
"""

CREATE_RENAMER = """
CREATE FUNCTION rename_labels() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE asset_search SET labels = chr(10) || NEW.search_text WHERE asset_id = NEW.id;
  RETURN NULL;
END
$$
"""

CREATE_REMOVER = """
CREATE FUNCTION remove_labels() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM asset_search AS s USING removed AS r WHERE s.asset_id = r.id;
  RETURN NULL;
END
$$
"""

# Values change all the time and names seldom: a trigger for each row whose name changed is the
# cheapest, and no other row calls it.
TRIGGERS = {
    "record_labels": "AFTER INSERT ON assets REFERENCING NEW TABLE AS added "
    "FOR EACH STATEMENT EXECUTE FUNCTION record_labels()",
    "rename_labels": "AFTER UPDATE ON assets FOR EACH ROW "
    "WHEN (OLD.search_text IS DISTINCT FROM NEW.search_text) EXECUTE FUNCTION rename_labels()",
    "remove_labels": "AFTER DELETE ON assets REFERENCING OLD TABLE AS removed "
    "FOR EACH STATEMENT EXECUTE FUNCTION remove_labels()",
}


def upgrade() -> None:
    # Readers go on; a trigger needs this lock, and nothing may be added before it is there.
    op.execute("LOCK TABLE assets IN SHARE ROW EXCLUSIVE MODE")
    op.create_table(
        "asset_search",
        sa.Column("asset_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("labels", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("asset_id", name="pk_asset_search"),
    )
    for function in (CREATE_GRAMS, CREATE_RECORDER, CREATE_RENAMER, CREATE_REMOVER):
        op.execute(function)
    for name, trigger in TRIGGERS.items():
        op.execute(f"CREATE TRIGGER {name} {trigger}")
    op.execute("INSERT INTO asset_search SELECT id, chr(10) || search_text FROM assets")
    op.create_index(
        "ix_asset_search_labels",
        "asset_search",
        [sa.text("search_grams(labels)")],
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": "256"},
    )
    op.execute("GRANT SELECT ON asset_search TO kasparro_reader")


def downgrade() -> None:
    for name in TRIGGERS:
        op.execute(f"DROP TRIGGER {name} ON assets")
        op.execute(f"DROP FUNCTION {name}()")
    op.drop_table("asset_search")
    op.execute("DROP FUNCTION search_grams(text)")
