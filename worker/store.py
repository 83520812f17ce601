"""Every write of a run: the batch transaction, checkpoints, run rows, rejects, the locks."""

import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import psycopg2
from sqlalchemy import Connection, Engine, Row, TextClause, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from shared.errors import DatabaseUnavailableError, LockedError
from shared.records import VALUES, Cursor, Observation, RawRecord, Reject
from shared.tables import RAW, checkpoints, runs
from worker import identity
from worker.statements import read_statements, source_parts

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
  SELECT * FROM runs WHERE source = :source AND outcome = 'running' ORDER BY id DESC LIMIT 1
) AS r ON true
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid::bigint = :namespace
  AND l.objid::bigint = CAST(hashtext(:source) AS bigint) & 4294967295
""")


@contextmanager
def reachable() -> Iterator[None]:
    """Turn the loss of the database into an error that says so.

    Raises:
        DatabaseUnavailableError: no connection can be made, or the one in use went away.
    """
    try:
        yield
    except DBAPIError as exc:
        if isinstance(exc, OperationalError | InterfaceError) or exc.connection_invalidated:
            words = " ".join(str(exc.orig).split())
            raise DatabaseUnavailableError(f"database: {words}") from exc
        raise


OBSERVED = ("symbol", "name", "symbol_key", "name_key", *VALUES)
"""The columns of the temporary tables that hold what an observation says."""


STATEMENTS: dict[str, dict[str, TextClause]] = {
    source: read_statements("batch.sql", **source_parts(source)) for source in RAW
}


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction loads: the records of (a part of) one page, checked.

    `rows` are `observed` records as `stage` wrote them.
    """

    rows: bytes
    observed: int
    rejects: Sequence[Reject]
    cursor: Cursor | None
    moves_cursor: bool = True
    validators: Mapping[str, str] = field(default_factory=dict)
    snapshot_progress: int = 0

    @property
    def fetched(self) -> int:
        return self.observed + len(self.rejects)


@dataclass(frozen=True, slots=True)
class Counts:
    """Records by what became of them; `fetched` is the sum of the others."""

    fetched: int = 0
    new: int = 0
    unchanged: int = 0
    rejected: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.fetched + other.fetched,
            self.new + other.new,
            self.unchanged + other.unchanged,
            self.rejected + other.rejected,
        )


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a source stands: its cursor, the validators of its pages, the last whole snapshot."""

    cursor: Cursor | None = None
    validators: Mapping[str, str] = field(default_factory=dict)
    snapshot_progress: int = 0
    snapshot_records: int | None = None


LOCK_ATTEMPTS = 10
"""How often a lock is tried for that was found taken, but by nobody when asked who has it."""


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


def close_interrupted_runs(conn: Connection, source: str) -> int:
    """Mark runs that ended without a word as failed; whoever holds the source's lock may."""
    stmt = (
        update(runs)
        .where(runs.c.source == source, runs.c.outcome == "running")
        .values(
            outcome="failed",
            reason="interrupted",
            error="the worker ended without closing its run; what it had committed is kept",
            finished_at=func.now(),
        )
    )
    return conn.execute(stmt).rowcount


def start_run(conn: Connection, source: str, command: str, cursor: Cursor | None) -> int:
    """Open a run row for this process and return its id."""
    stmt = (
        insert(runs)
        .values(
            source=source,
            command=command,
            outcome="running",
            host=socket.gethostname(),
            pid=os.getpid(),
            cursor_before=cursor,
        )
        .returning(runs.c.id)
    )
    return int(conn.execute(stmt).scalar_one())


def read_checkpoint(conn: Connection, source: str) -> Checkpoint:
    """Read where the source stands; one that never ran stands at its beginning."""
    columns = checkpoints.c
    row = conn.execute(
        select(
            columns.cursor,
            columns.validators,
            columns.snapshot_progress,
            columns.snapshot_records,
        ).where(columns.source == source)
    ).one_or_none()
    return Checkpoint(*row) if row else Checkpoint()


def clear_checkpoint(engine: Engine, source: str) -> bool:
    """Set the source back to its beginning; say whether it had a checkpoint.

    Its next run reads everything again, and finds what is stored already unchanged.

    Raises:
        LockedError: a worker is at this source, and would set it forth again.
    """
    stmt = (
        update(checkpoints)
        .where(checkpoints.c.source == source)
        .values(cursor=None, validators={}, snapshot_progress=0, updated_at=func.now())
    )
    with reachable(), locked(engine, source) as conn, conn.begin():
        return conn.execute(stmt).rowcount == 1


def create_staging(conn: Connection, source: str) -> None:
    """Create this session's temporary tables; a second call changes nothing."""
    conn.execute(STATEMENTS[source]["create_staging"])
    identity.create_touched_keys(conn)


def load_batch(
    conn: Connection,
    source: str,
    run_id: int,
    batch: Batch,
    before_commit: Callable[[], None] = lambda: None,
) -> Counts:
    """Load a batch in one transaction, with its counts and its checkpoint, and commit.

    Idempotent in what it stores: the same batch again is unchanged, and only counted. A failure at
    any point, `before_commit` included, leaves nothing of it.
    """
    with conn.begin():
        new = load_rows(conn, source, run_id, batch.rows) if batch.observed else 0
        copy_rejects(conn, source, run_id, batch.rejects)
        counts = Counts(
            batch.fetched,
            new,
            batch.observed - new,
            len(batch.rejects),
        )
        _move_checkpoint(conn, source, run_id, batch, counts)
        before_commit()
    return counts


def load_rows(conn: Connection, source: str, run_id: int, rows: bytes) -> int:
    """Bring everything from raw records to assets up to date; return how many were new."""
    statements = STATEMENTS[source]
    _copy(conn, "staging", ("external_id", "observed_at", *OBSERVED, "payload"), rows)
    new = conn.execute(statements["insert_raw"], {"run_id": run_id}).rowcount
    if new:
        lock_identity(conn)
        update_listings(conn, source, run_id)
        conn.execute(statements["insert_observations"])
        unify_assets(conn, source)
    return new


def unify_assets(conn: Connection, source: str) -> int:
    """Work out the unified values of the assets concerned; return how many assets changed."""
    return conn.execute(STATEMENTS[source]["unify_assets"]).rowcount


def lock_identity(conn: Connection) -> None:
    """Wait to be the one who decides on listings and assets, until the transaction ends."""
    conn.execute(LOCK_IDENTITY, {"namespace": LOCK_NAMESPACE})


def update_listings(
    conn: Connection, source: str, run_id: int | None, *, rebuild: bool = False
) -> None:
    """Bring listings, and which asset each is, up to what `fresh` holds.

    The assets concerned are to be unified then. With `rebuild`, the newest
    record in `fresh` is what the listing must say, even where the listing says something newer.
    """
    statements = STATEMENTS[source]
    conn.execute(statements["find_newest"], {"source": source, "rebuild": rebuild})
    if conn.execute(statements["find_touched_keys"]).rowcount:
        conn.execute(statements["insert_assets"])
        conn.execute(statements["insert_listings"], {"source": source})
        conn.execute(statements["update_listings"], {"rebuild": rebuild})
        identity.resolve(conn, run_id)
    else:
        conn.execute(statements["update_listings"], {"rebuild": rebuild})


def stage(observed: Iterable[tuple[RawRecord, Observation]]) -> bytes:
    """Write checked records as COPY sends them to the `staging` table."""
    return b"".join(
        _line([o.external_id, o.observed_at.isoformat(), *_cells(o)], record.payload)
        for record, o in observed
    )


def copy_fresh(conn: Connection, rows: Sequence[tuple[Row[Any], Observation]]) -> None:
    """Send what stored raw records say to the `fresh` table, under the records' own keys."""
    lines = [
        _line(
            [
                raw.external_id,
                raw.observed_at.isoformat(),
                raw.run_id,
                *_cells(o),
            ],
            _hex(raw.payload_hash),
        )
        for raw, o in rows
    ]
    columns = ("external_id", "observed_at", "run_id", *OBSERVED, "payload_hash")
    _copy(conn, "fresh", columns, b"".join(lines))


def copy_unreadable(conn: Connection, rows: Sequence[Row[Any]]) -> None:
    """Note stored raw records that are none by the schema of today."""
    lines = [
        _line([raw.external_id, raw.observed_at.isoformat()], _hex(raw.payload_hash))
        for raw in rows
    ]
    _copy(conn, "unreadable", ("external_id", "observed_at", "payload_hash"), b"".join(lines))


def copy_rejects(conn: Connection, source: str, run_id: int, rejects: Sequence[Reject]) -> None:
    """Store refused records with their reasons; one seen before is counted again."""
    if not rejects:
        return
    lines = [
        _line(
            [
                reject.external_id,
                reject.record.position,
                json.dumps(list(reject.reasons)),
            ],
            _hex(reject.record.payload),
        )
        for reject in rejects
    ]
    columns = ("external_id", "position", "reasons", "payload")
    _copy(conn, "staging_rejects", columns, b"".join(lines))
    conn.execute(STATEMENTS[source]["insert_rejects"], {"source": source, "run_id": run_id})


def _cells(o: Observation) -> tuple[object, ...]:
    """What an observation says, in the order of `OBSERVED`."""
    return (
        o.symbol,
        o.name,
        identity.normalise(o.symbol),
        identity.normalise(o.name),
        o.price_usd,
        o.market_cap_usd,
        o.volume_24h_usd,
        o.circulating_supply,
        o.total_supply,
        o.max_supply,
    )


def _hex(value: bytes) -> bytes:
    """Write bytes as `bytea` reads them."""
    return b"\\x" + value.hex().encode()


def _line(cells: Sequence[object], last: bytes) -> bytes:
    """Write one row in COPY's text format, the cell of bytes last."""
    text_cells = "\t".join(
        "\\N" if cell is None else _escape(cell) if type(cell) is str else str(cell)
        for cell in cells
    )
    return text_cells.encode() + b"\t" + _escape_bytes(last) + b"\n"


def _escape(cell: str) -> str:
    if cell.isalnum():
        return cell
    return cell.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _escape_bytes(payload: bytes) -> bytes:
    return (
        payload.replace(b"\\", b"\\\\")
        .replace(b"\t", b"\\t")
        .replace(b"\n", b"\\n")
        .replace(b"\r", b"\\r")
    )


def _copy(conn: Connection, table: str, columns: Sequence[str], rows: bytes) -> None:
    """COPY the rows into a temporary table of ours."""
    statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
    session: Any = conn.connection.dbapi_connection
    try:
        with session.cursor() as cursor:
            # In one piece: each further read would wait for the interpreter lock, which the
            # thread that checks the next batch holds.
            cursor.copy_expert(statement, BytesIO(rows), size=len(rows) + 1)
    except psycopg2.Error as exc:
        # Past SQLAlchemy, which would have wrapped it and said whether the session is lost.
        lost = bool(session.closed)
        raise DBAPIError(statement, None, exc, connection_invalidated=lost) from exc


def _move_checkpoint(
    conn: Connection, source: str, run_id: int, batch: Batch, counts: Counts
) -> None:
    statements = STATEMENTS[source]
    numbers = {
        "run_id": run_id,
        "fetched": counts.fetched,
        "new": counts.new,
        "unchanged": counts.unchanged,
        "rejected": counts.rejected,
    }
    conn.execute(statements["count_batch"], numbers)
    conn.execute(
        statements["move_checkpoint"],
        {
            **numbers,
            "source": source,
            "cursor": json.dumps(batch.cursor) if batch.cursor is not None else None,
            "moves_cursor": batch.moves_cursor,
            "validators": json.dumps(dict(batch.validators)),
            "progress": batch.snapshot_progress,
        },
    )


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended. `reason` is a stable code, `error` a sentence for a person."""

    outcome: str
    reason: str | None = None
    error: str | None = None


def finish_run(
    conn: Connection,
    source: str,
    run_id: int,
    ending: Ending,
    numbers: Mapping[str, int],
    *,
    snapshot_ends: bool,
) -> None:
    """Close the run row and note its end at the checkpoint.

    `numbers` are the run's requests, retries and pages_not_modified. With `snapshot_ends`, the
    snapshot under way is whole: its count is what the next one is compared with.
    """
    succeeded = ending.outcome == "succeeded"
    checkpoint = read_checkpoint(conn, source)
    conn.execute(
        update(runs)
        .where(runs.c.id == run_id)
        .values(
            outcome=ending.outcome,
            reason=ending.reason,
            error=ending.error,
            finished_at=func.now(),
            cursor_after=checkpoint.cursor,
            **numbers,
        )
    )
    noted: dict[str, Any] = {
        "run_id": run_id,
        "last_success_at" if succeeded else "last_failure_at": func.now(),
    }
    if snapshot_ends:
        noted["snapshot_progress"] = 0
        if succeeded:
            noted["snapshot_records"] = checkpoint.snapshot_progress
    stmt = upsert(checkpoints).values(source=source, **noted)
    conn.execute(stmt.on_conflict_do_update(index_elements=[checkpoints.c.source], set_=noted))
