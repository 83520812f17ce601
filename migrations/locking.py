"""Locks on the tables that a migration changes, taken without a deadlock."""

import time

from alembic import op
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

LOCK_NOT_AVAILABLE = "55P03"

# Other queries queue behind a lock that is waited for. Autovacuum gives way after a second.
SET_LONGEST_WAIT = text("SET LOCAL lock_timeout = '2s'")
SHOW_WAIT = text("SHOW lock_timeout")
SET_WAIT = text("SELECT set_config('lock_timeout', :wait, true)")

PAUSE = 1.0
"""Seconds for which the queries that queued are let through."""

TRY_FOR = 600.0
"""Seconds after which it is given up: an export may take half of that."""


def lock_exclusively(*tables: str) -> None:
    """Keep every other session from these tables until the migration commits.

    Queries take their tables in many orders, so no order of locks is safe. This waits for one table
    while it holds none of the others, and lets go of all where the next one is in use: then a query
    that waits for it never has what it waits for.
    """
    conn = op.get_bind()
    wait_after = conn.scalar(SHOW_WAIT)
    give_up = time.monotonic() + TRY_FOR
    waits_for = table = tables[0]
    while True:
        try:
            with conn.begin_nested():
                conn.execute(SET_LONGEST_WAIT)
                conn.execute(text(f"LOCK TABLE {waits_for} IN ACCESS EXCLUSIVE MODE"))
                for table in tables:
                    conn.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE NOWAIT"))
                conn.execute(SET_WAIT, {"wait": wait_after})
        except OperationalError as exc:
            is_in_use = getattr(exc.orig, "pgcode", None) == LOCK_NOT_AVAILABLE
            if not is_in_use or time.monotonic() > give_up:
                raise
            if table == waits_for:
                time.sleep(PAUSE)
            waits_for = table
        else:
            return
