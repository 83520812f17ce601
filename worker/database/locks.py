"""Locks of the writers: one worker per source, and one batch at a time for identity.

The lock of a source is a session-level advisory lock on the connection that writes. It ends with
that connection, and the lock of a killed worker is released at once. A lock row with a timeout has
neither property. A pooler in transaction mode would break the lock, so connect directly.
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

LOCK_NAMESPACE = 0x6B61_7370  # "kasp"
"""The first half of the key of all our locks; the second is a source's hash, or 0 for identity."""

# Held until the session ends; a second worker on the same source gets False.
TRY_LOCK_SOURCE = text("SELECT pg_try_advisory_lock(:namespace, hashtext(:source))")

UNLOCK_SOURCE = text("SELECT pg_advisory_unlock(:namespace, hashtext(:source))")

# Held until the transaction ends. Only one batch at a time decides on listings and assets, so two
# sources cannot deadlock on shared assets, and `assets.version` rises in commit order.
LOCK_IDENTITY = text("SELECT pg_advisory_xact_lock(:namespace, 0)")

# The session that holds a source's lock, and its run, if it has one.
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
    """Return the name of this process's sessions, which other workers see in `pg_stat_activity`."""
    return f"worker {socket.gethostname()}:{os.getpid()}"


RELEASE_TIMEOUT = 10.0
"""Seconds to wait for the lock of a worker that no longer exists.

The server detects a killed worker after `client_connection_check_interval`.
"""


@contextmanager
def locked(engine: Engine, source: str) -> Iterator[Connection]:
    """Open a connection that holds the lock of a source.

    If a killed worker of this host held the lock, wait until the server releases it.

    Raises:
        LockedError: another worker holds the lock; the message names it.
    """
    with engine.connect() as conn:
        lock_source(conn, source)
        yield conn
        # Closing the connection would release the lock later, when the server detects it.
        with conn.begin():
            conn.execute(UNLOCK_SOURCE, {"namespace": LOCK_NAMESPACE, "source": source})


def lock_source(conn: Connection, source: str) -> None:
    """Take the lock of a source until the session ends; see `locked`."""
    key = {"namespace": LOCK_NAMESPACE, "source": source}
    deadline = time.monotonic() + RELEASE_TIMEOUT
    while True:
        # One transaction per attempt: within a transaction `pg_stat_activity` does not change.
        with conn.begin():
            if conn.scalar(TRY_LOCK_SOURCE, key):
                return
            holder = conn.execute(LOCK_HOLDER, key).one_or_none()
        is_late = time.monotonic() > deadline
        if holder is None and is_late:
            raise LockedError(f"{source}: was just locked by another worker; try again")
        if holder is not None and (is_late or not _has_ended(holder.application_name)):
            raise LockedError(f"{source}: locked by {_describe(holder)}; wait for it, or stop it")
        time.sleep(0.02)


def _has_ended(application_name: str) -> bool:
    """Whether this is the name of a worker of this host whose process has ended."""
    local_worker = re.fullmatch(
        rf"worker {re.escape(socket.gethostname())}:(\d+)", application_name
    )
    if local_worker is None:
        return False
    try:
        os.kill(int(local_worker[1]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # The process exists and belongs to another user.
    return False


def _describe(holder: Row[Any]) -> str:
    name, since = holder.application_name, holder.backend_start
    if holder.run_id is not None:
        name = f"worker run {holder.run_id} on host {holder.host!r} (pid {holder.pid})"
        since = holder.started_at
    return f"{name} since {since:%H:%M:%SZ}"


def lock_identity(conn: Connection) -> None:
    """Take the lock for decisions on listings and assets, until the transaction ends."""
    conn.execute(LOCK_IDENTITY, {"namespace": LOCK_NAMESPACE})
