"""Deletes rejects that were last seen before the retention; `verify` still counts them.

They are archived, the archive is read back, and then one transaction deletes and records them. If
the process is killed before that, nothing is lost, and the next call continues.
"""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine

from shared.errors import ArchiveError
from worker.database.engine import reachable
from worker.database.locks import locked
from worker.database.statements import read_statements
from worker.ingest.batch.reread_raw import ROWS_AT_ONCE
from worker.ingest.faults import At, no_fault
from worker.maintenance.prune.archive import REJECTS, write_archive

STATEMENTS = read_statements(
    __file__,
    "prune_rejects.sql",
    columns=", ".join("reasons::text" if name == "reasons" else name for name in REJECTS.names),
)


@dataclass(frozen=True, slots=True)
class OldRejects:
    """The rejects of a source that were last seen before a day (UTC)."""

    source: str
    before: datetime
    rejects: int
    bytes: int


def find_old_rejects(engine: Engine, source: str, retention: timedelta) -> OldRejects:
    with reachable(), engine.connect() as conn:
        return _find(conn, source, retention)


def prune_rejects(
    engine: Engine, source: str, retention: timedelta, folder: Path | None, at: At = no_fault
) -> tuple[OldRejects, Path | None]:
    """Delete the rejects older than the retention, and return them with their archive.

    Without a folder they are not archived.

    Raises:
        LockedError: a worker is reading this source; nothing was done.
        ArchiveError: the archive cannot be written or read back; the rejects are not deleted.
    """
    with reachable(), locked(engine, source) as conn:
        old = _find(conn, source, retention)
        if not old.rejects:
            return old, None
        archive = digest = None
        if folder is not None:
            name = f"rejects_{source}_before_{old.before:%Y-%m-%d}"
            with closing(_read(conn, old)) as rows:
                archive, digest = write_archive(rows, folder, name, REJECTS)
        at("before_drop")
        values = {"archive": str(archive) if archive else None, "digest": digest}
        with conn.begin():
            deleted = conn.scalar(STATEMENTS["delete_old"], {**_parameters(old), **values})
            if deleted != old.rejects:
                raise ArchiveError(
                    f"{source}: expected to prune {old.rejects} rejects, but found {deleted};"
                    " nothing was deleted; run the command again"
                )
        return old, archive


def _find(conn: Connection, source: str, retention: timedelta) -> OldRejects:
    # Whole days: after a kill, a second archive of the same day has the same content.
    before = (datetime.now(UTC) - retention).replace(hour=0, minute=0, second=0, microsecond=0)
    with conn.begin():
        row = conn.execute(STATEMENTS["measure_old"], {"source": source, "before": before}).one()
    return OldRejects(source, before, row.rejects, int(row.bytes))


def _read(conn: Connection, old: OldRejects) -> Generator[Sequence[Any]]:
    with conn.begin():
        stream = {"stream_results": True}
        result = conn.execute(STATEMENTS["read_old"], _parameters(old), execution_options=stream)
        yield from result.partitions(ROWS_AT_ONCE)


def _parameters(old: OldRejects) -> dict[str, Any]:
    return {"source": old.source, "before": old.before}
