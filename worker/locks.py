"""Who may write: one worker for a source, one batch at a time for identity."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text

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


LOCK_ATTEMPTS = 10
"""How often a lock is tried for that was found taken, but by nobody when asked who has it."""


@contextmanager
def locked(engine: Engine, source: str) -> Iterator[Connection]:
    """Open a connection and take the source on it: the lock ends with the session at the latest.

    Raises:
        LockedError: another session has it; the message names that worker.
    """
    with engine.connect() as conn:
        with conn.begin():
            _lock_source(conn, source)
        yield conn
        # Closing would free it too, but only once the server has noticed.
        with conn.begin():
            conn.execute(UNLOCK_SOURCE, {"namespace": LOCK_NAMESPACE, "source": source})


def _lock_source(conn: Connection, source: str) -> None:
    key = {"namespace": LOCK_NAMESPACE, "source": source}
    for _ in range(LOCK_ATTEMPTS):
        if conn.scalar(TRY_LOCK_SOURCE, key):
            return
        holder = conn.execute(LOCK_HOLDER, key).one_or_none()
        if holder is not None:
            break
    else:
        raise LockedError(f"{source}: was locked by another worker a moment ago; try again")
    who = holder.application_name
    since = holder.backend_start
    if holder.run_id is not None:
        who = f"worker run {holder.run_id} on host {holder.host!r} (pid {holder.pid})"
        since = holder.started_at
    raise LockedError(f"{source}: locked by {who} since {since:%H:%M:%SZ}; wait for it, or stop it")


def lock_identity(conn: Connection) -> None:
    """Wait to be the one who decides on listings and assets, until the transaction ends."""
    conn.execute(LOCK_IDENTITY, {"namespace": LOCK_NAMESPACE})
