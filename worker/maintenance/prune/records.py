"""Taking raw records out that are older than they are to be kept; their observations stay.

One partition at a time: it is archived, the archive is read back, and then it is dropped and noted
in one transaction. Killed anywhere before that, everything is still there, and a second time goes
on. The newest raw record of a listing is no exception: its values are the observation's.
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
from worker.ingest.batch.raw import STRETCH
from worker.ingest.faults import At, go_on
from worker.maintenance.prune.archive import write_archive

log = structlog.get_logger(__name__)

LOCK_NOT_AVAILABLE = "55P03"
ATTEMPTS = 60
PAUSE = 1.0
"""How often a partition is tried to be dropped beside those who read, and seconds between."""


@dataclass(frozen=True, slots=True)
class Old:
    """A partition whose records are all older than the retention, and what is in it."""

    name: str
    period: Period
    records: int
    bytes: int
    earliest: datetime | None
    latest: datetime | None


@dataclass(frozen=True, slots=True)
class Pruned:
    """A partition that is gone, and the file that has its records; None where none has."""

    old: Old
    archive: Path | None


def find_old(engine: Engine, source: str, retention: timedelta) -> list[Old]:
    """Say what of a source's raw records is older than the retention; change nothing."""
    with reachable(), engine.connect() as conn:
        return list(_find_old(conn, source, datetime.now(UTC) - retention))


def prune(
    engine: Engine, source: str, retention: timedelta, folder: Path | None, at: At = go_on
) -> Iterator[Pruned]:
    """Archive to a folder, or only drop, what is older than the retention; oldest first.

    Raises:
        LockedError: a worker is at this source; nothing was done.
        ArchiveError: the archive cannot be written, or not read back; the partition is kept.
        DatabaseRefusedError: a reader had the table in use all the time; the partition is kept.
    """
    with reachable(), locked(engine, source) as conn:
        for old in list(_find_old(conn, source, datetime.now(UTC) - retention)):
            archive = digest = None
            if folder is not None and old.records:
                with closing(read_records(conn, source, old.name)) as rows:
                    archive, digest = write_archive(rows, folder, old.name)
            at("before_drop")
            _repeat_while_read(lambda: _drop(conn, source, old, archive, digest))  # noqa: B023
            yield Pruned(old, archive)


def _find_old(conn: Connection, source: str, before: datetime) -> Iterator[Old]:
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
            row = conn.execute(_statements(source, name)["weigh_partition"]).one()
        yield Old(name, period, row.records, row.bytes, row.earliest, row.latest)


def read_records(conn: Connection, source: str, partition: str) -> Generator[Sequence[Any]]:
    """Yield a partition's raw records, some at a time, in a transaction that ends with the last.

    What is done with them afterwards may take longer than a transaction is let be idle.
    """
    with conn.begin():
        stmt = _statements(source, partition)["read_partition"]
        result = conn.execute(stmt, execution_options={"stream_results": True})
        yield from result.partitions(STRETCH)


def _drop(
    conn: Connection, source: str, old: Old, archive: Path | None, digest: bytes | None
) -> None:
    statements = _statements(source, old.name)
    with conn.begin():
        conn.execute(statements["set_timeout"])
        if old.records:
            noted: Mapping[str, Any] = {
                "source": source,
                "observed_from": old.period.start or old.earliest,
                "observed_until": old.period.end,
                "records": old.records,
                "archive": str(archive) if archive else None,
                "digest": digest,
            }
            pruned_id = conn.scalar(statements["note_partition"], noted)
            conn.execute(statements["note_runs"], {"pruned_id": pruned_id})
        conn.execute(statements["drop_partition"])


def _repeat_while_read(step: Callable[[], None]) -> None:
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
