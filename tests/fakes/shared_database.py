"""One database for all tests of a process, reset between them."""

import json
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from tests.fakes.databases import copy_database, delete_rows, drop_database

POOLED = "idle sessions of the tests"

DISCONNECT = text("""
SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
WHERE datname = :name AND NOT (application_name = :pooled AND state = 'idle')
""")

FORGET = "RESET ALL; SELECT pg_advisory_unlock_all()"
"""Set a session back before it is used again; its temporary tables stay, and are empty.

So do the queries that it has prepared.

To make them anew takes longer than most batches. That each command creates those that it needs is
held by the tests that run it through the CLI, on a session of its own.
"""

# Everything about a database that a test may change other than its rows. Whoever adds a partition,
# revokes a right or disables a trigger changes it.
SCHEMA = text("""
SELECT md5(string_agg(line, E'\\n' ORDER BY line)) FROM (
  SELECT concat_ws(' ', 'relation', oid, relname, relacl, relkind, reloptions)
  FROM pg_class WHERE relnamespace = 'public'::regnamespace
  UNION ALL
  SELECT concat_ws(' ', 'column', attrelid, attnum, attname, atttypid, attnotnull, atthasdef,
                   attacl)
  FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
  WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND relkind IN ('r', 'p')
  UNION ALL
  SELECT concat_ws(' ', 'constraint', oid, conname, convalidated)
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace
  UNION ALL
  SELECT concat_ws(' ', 'trigger', oid, tgname, tgenabled) FROM pg_trigger
  UNION ALL
  SELECT concat_ws(' ', 'function', oid, proname, md5(prosrc), proacl)
  FROM pg_proc WHERE pronamespace = 'public'::regnamespace
  UNION ALL
  SELECT concat_ws(' ', 'schema', nspname, nspacl) FROM pg_namespace
  WHERE nspname !~ '^pg_(toast_)?temp_'
  UNION ALL
  SELECT concat_ws(' ', 'extension', extname) FROM pg_extension
  UNION ALL
  SELECT concat_ws(' ', 'database', datacl, setconfig)
  FROM pg_database LEFT JOIN pg_db_role_setting ON setdatabase = pg_database.oid
  WHERE datname = current_database()
) AS schema_line (line)
""")

TABLES = text("""
SELECT oid::regclass::text FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
""")

SEQUENCES = text("""
SELECT oid::regclass::text FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'
""")


class SharedDatabase:
    """A copy of the template that each test finds as if it were the first to use it.

    Rows and sequences are set back. Where a test changed the schema itself, the next one gets a new
    copy of the template. `engine` keeps its sessions open from test to test, for a session that has
    planned once plans in a fraction of the time.
    """

    def __init__(self, maintenance: Engine, server: URL, template: str, name: str) -> None:
        self.url = server.set(database=name)
        self._maintenance = maintenance
        self._template = template
        self._name = name
        self.engine = create_engine(
            self.url, pool_pre_ping=True, connect_args={"application_name": POOLED}
        )
        event.listen(self.engine, "checkin", _forget)
        self._create()

    def reset(self) -> None:
        """End every session and take out what was left, whatever state it is in."""
        with self._maintenance.connect() as conn:
            conn.execute(DISCONNECT, {"name": self._name, "pooled": POOLED})
        if not self._emptied():
            self.drop()
            self._create()

    def drop(self) -> None:
        """Drop the database, whoever is connected."""
        self.engine.dispose()
        drop_database(self._maintenance, self._name)

    def _create(self) -> None:
        copy_database(self._maintenance, self._name, self._template)
        with self.engine.connect() as conn:
            self._schema = conn.scalar(SCHEMA)
            self._rows = _rows_of(conn)
            self._sequences = _sequences_of(conn)

    def _emptied(self) -> bool:
        """Set rows and sequences back; return False where the schema is another."""
        with self.engine.begin() as conn:
            if conn.scalar(SCHEMA) != self._schema:
                return False
            delete_rows(conn)
            for statement, values in (*self._rows, *self._sequences):
                conn.execute(statement, values)
        return True


def _forget(session: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
    prepared = record.info.get("prepared", {})
    record.info.clear()
    record.info["prepared"] = prepared
    if session is not None:
        with session.cursor() as cursor:
            cursor.execute(FORGET)
        session.rollback()


def _rows_of(conn: Connection) -> list[tuple[Any, dict[str, Any]]]:
    """Write statements that insert what the template's tables hold."""
    statements = []
    for table in conn.execute(TABLES).scalars().all():
        rows = conn.scalar(text(f"SELECT jsonb_agg(to_jsonb(t)) FROM {table} AS t"))
        if rows:
            inserting = f"INSERT INTO {table} SELECT * FROM jsonb_populate_recordset(NULL::{table},"
            statements.append(
                (text(f"{inserting} CAST(:rows AS jsonb))"), {"rows": json.dumps(rows)})
            )
    return statements


def _sequences_of(conn: Connection) -> list[tuple[Any, dict[str, Any]]]:
    """Write statements that set the sequences to where they stand."""
    statements = []
    for name in conn.execute(SEQUENCES).scalars().all():
        value, is_called = conn.execute(text(f"SELECT last_value, is_called FROM {name}")).one()
        values = {"name": name, "value": value, "is_called": is_called}
        statements.append((text("SELECT setval(:name, :value, :is_called)"), values))
    return statements
