"""Who may write: one worker for a source, one batch at a time for identity.

The lock of a source is a session-level advisory lock on the connection that writes. It cannot
outlive the ability to write, and the lock of a killed worker is released at once; a lock row with a
timeout would do neither. A pooler in transaction mode would break it, so connect directly.
"""

import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, Row, text

from shared.errors import LockedError

LOCK_NAMESPACE = 0x6B61_7370  # "kasp": which of the database's advisory locks are ours
"""The first half of every advisory lock's key; the second is a source's hash, or 0 for identity."""

# Held until the session ends; a second worker on the same source gets False.
TRY_LOCK_SOURCE = text("SELECT pg_try_advisory_lock(:namespace, hashtext(:source))")

UNLOCK_SOURCE = text("SELECT pg_advisory_unlock(:namespace, hashtext(:source))")

# Held to the end of the transaction. It lets one batch at a time decide on listings and assets: two
# sources cannot deadlock on the assets they share, and `assets.version` rises in commit order.
LOCK_IDENTITY = text("SELECT pg_advisory_xact_lock(:namespace, 0)")

# Who holds a source's lock: the server's own word on the session, and the run row if there is one.
LOCK_HOLDER = text("""
SELECT a.application_name, a.backend_start, r.id AS run_id, r.host, r.pid, r.started_at
FROM pg_locks AS l
JOIN pg_stat_activity AS a ON a.pid = l.pid
LEFT JOIN LATERAL (
  SELECT * FROM runs
  WHERE source = :source AND outcome = 'running'
    AND a.application_name = left('worker ' || host || ':' || pid, 63)
  ORDER BY id DESC LIMIT 1
) AS r ON true
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid::bigint = :namespace
  AND l.objid::bigint = CAST(hashtext(:source) AS bigint) & 4294967295
""")


def worker_name() -> str:
    """Name this process's sessions, as another worker finds them in `pg_stat_activity`."""
    return f"worker {socket.gethostname()}:{os.getpid()}"


FREED_WITHIN = 10.0
"""Seconds a lock is waited for that nobody has any more.

The server needs a moment to see that a killed worker is gone (`client_connection_check_interval`).
"""


@contextmanager
def locked(engine: Engine, source: str) -> Iterator[Connection]:
    """Open a connection and take the source on it: the lock ends with the session at the latest.

    A worker of this host that was killed does not stand in the way: its lock is waited for.

    Raises:
        LockedError: another session has it; the message names that worker.
    """
    with engine.connect() as conn:
        lock_source(conn, source)
        yield conn
        # Closing would free it too, but only once the server has noticed.
        with conn.begin():
            conn.execute(UNLOCK_SOURCE, {"namespace": LOCK_NAMESPACE, "source": source})


def lock_source(conn: Connection, source: str) -> None:
    """Take the source until the session ends; see `locked`."""
    key = {"namespace": LOCK_NAMESPACE, "source": source}
    give_up = time.monotonic() + FREED_WITHIN
    while True:
        # A transaction each time: within one, `pg_stat_activity` stays as it was first seen.
        with conn.begin():
            if conn.scalar(TRY_LOCK_SOURCE, key):
                return
            holder = conn.execute(LOCK_HOLDER, key).one_or_none()
        late = time.monotonic() > give_up
        if holder is None and late:
            raise LockedError(f"{source}: was locked by another worker a moment ago; try again")
        if holder is not None and (late or not _is_gone(holder.application_name)):
            raise LockedError(f"{source}: locked by {_describe(holder)}; wait for it, or stop it")
        time.sleep(0.02)


def _is_gone(application_name: str) -> bool:
    """Whether this is the name of a worker of this host whose process has ended."""
    named = re.fullmatch(rf"worker {re.escape(socket.gethostname())}:(\d+)", application_name)
    if named is None:
        return False
    try:
        os.kill(int(named[1]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # It is there, and another user's.
    return False


def _describe(holder: Row[Any]) -> str:
    who, since = holder.application_name, holder.backend_start
    if holder.run_id is not None:
        who = f"worker run {holder.run_id} on host {holder.host!r} (pid {holder.pid})"
        since = holder.started_at
    return f"{who} since {since:%H:%M:%SZ}"


def lock_identity(conn: Connection) -> None:
    """Wait to be the one who decides on listings and assets, until the transaction ends."""
    conn.execute(LOCK_IDENTITY, {"namespace": LOCK_NAMESPACE})
