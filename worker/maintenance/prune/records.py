"""Deletes raw records older than the retention; their observations stay.

Partitions are processed one by one: a partition is archived, the archive is read back, and then one
transaction drops and records it. If the process is killed before that, nothing is lost, and the
next call continues. The newest raw record of a listing is deleted too, because the observation has
its values.
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, TextClause
from sqlalchemy.exc import DBAPIError

from shared.schema.raw import RAW
from worker.database.engine import reachable
from worker.database.locks import locked
from worker.database.partitions import find_partitions
from worker.database.periods import Period, period_named
from worker.database.statements import read_statements
from worker.ingest.batch.reread_raw import ROWS_AT_ONCE
from worker.ingest.faults import At, no_fault
from worker.maintenance.prune.archive import write_archive

log = structlog.get_logger(__name__)

LOCK_NOT_AVAILABLE = "55P03"
ATTEMPTS = 60
PAUSE = 1.0
"""Attempts to drop a partition that is being read, and the seconds between them."""


@dataclass(frozen=True, slots=True)
class OldPartition:
    """A partition whose records are all older than the retention."""

    name: str
    period: Period
    records: int
    bytes: int
    earliest: datetime | None
    latest: datetime | None


@dataclass(frozen=True, slots=True)
class PrunedPartition:
    """A partition that was dropped, and its archive; None without one."""

    partition: OldPartition
    archive: Path | None


def find_old_partitions(engine: Engine, source: str, retention: timedelta) -> list[OldPartition]:
    with reachable(), engine.connect() as conn:
        return list(_find_old(conn, source, datetime.now(UTC) - retention))


def prune(
    engine: Engine, source: str, retention: timedelta, folder: Path | None, at: At = no_fault
) -> Iterator[PrunedPartition]:
    """Drop the partitions older than the retention, oldest first; with a folder, archive them.

    Raises:
        LockedError: a worker is reading this source; nothing was done.
        ArchiveError: the archive cannot be written or read back; the partition is not dropped.
        DatabaseRefusedError: a reader blocked the table; the partition is not dropped.
    """
    with reachable(), locked(engine, source) as conn:
        for old in list(_find_old(conn, source, datetime.now(UTC) - retention)):
            archive = digest = None
            if folder is not None and old.records:
                with closing(read_records(conn, source, old.name)) as rows:
                    archive, digest = write_archive(rows, folder, old.name)
            at("before_drop")
            _retry_while_locked(lambda: _drop(conn, source, old, archive, digest))  # noqa: B023
            yield PrunedPartition(old, archive)


def _find_old(conn: Connection, source: str, before: datetime) -> Iterator[OldPartition]:
    table = RAW[source].name
    with conn.begin():
        names = find_partitions(conn, table)
    periods = {name: period_named(name.removeprefix(f"{table}_")) for name in names}
    for name in sorted(
        periods, key=lambda name: periods[name].end or datetime.max.replace(tzinfo=UTC)
    ):
        period = periods[name]
        if period.end is None or period.end > before:
            continue
        with conn.begin():
            row = conn.execute(_statements(source, name)["measure_partition"]).one()
        yield OldPartition(name, period, row.records, row.bytes, row.earliest, row.latest)


def read_records(conn: Connection, source: str, partition: str) -> Generator[Sequence[Any]]:
    """Yield a partition's raw records in batches, in one transaction that ends with the last.

    Later work on the records may exceed the limit for idle transactions.
    """
    with conn.begin():
        stmt = _statements(source, partition)["read_partition"]
        result = conn.execute(stmt, execution_options={"stream_results": True})
        yield from result.partitions(ROWS_AT_ONCE)


def _drop(
    conn: Connection, source: str, old: OldPartition, archive: Path | None, digest: bytes | None
) -> None:
    statements = _statements(source, old.name)
    with conn.begin():
        conn.execute(statements["set_timeout"])
        if old.records:
            values: Mapping[str, Any] = {
                "source": source,
                "observed_from": old.period.start or old.earliest,
                "observed_until": old.period.end,
                "records": old.records,
                "archive": str(archive) if archive else None,
                "digest": digest,
            }
            pruned_id = conn.scalar(statements["record_partition"], values)
            conn.execute(statements["record_runs"], {"pruned_id": pruned_id})
        conn.execute(statements["drop_partition"])


def _retry_while_locked(step: Callable[[], None]) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            step()
        except DBAPIError as exc:
            if getattr(exc.orig, "pgcode", None) != LOCK_NOT_AVAILABLE or attempt == ATTEMPTS:
                raise
            time.sleep(PAUSE)
        else:
            return


def _statements(source: str, partition: str) -> dict[str, TextClause]:
    return read_statements(__file__, "prune.sql", raw=RAW[source].name, partition=partition)
