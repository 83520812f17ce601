"""Rebuilds observations, listings, contracts and assets from raw records, without fetching.

Each batch is a transaction, and readers are not blocked. The result is that of loading the same
records now; ids and slugs stay, and a second run changes nothing. A record that no longer matches
the current schema keeps its observation.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row

from shared.schema.raw import RAW_LISTS
from worker.database import partitions
from worker.database.engine import reachable
from worker.database.locks import lock_identity, locked
from worker.database.periods import periods_of
from worker.database.statements import read_statements, source_parts
from worker.identity import pairs, renames, store
from worker.ingest.batch import claims, copy, transaction
from worker.ingest.batch.reread_raw import FIRST_KEY, ROWS_AT_ONCE, RawKey, observe_raw, read_raw
from worker.ingest.snapshots import delisting
from worker.sources.base import Source


@dataclass(frozen=True, slots=True)
class ReprocessResult:
    """The number of raw records read, and of those that no longer match the current schema."""

    read: int
    unreadable: int


def reprocess(
    engine: Engine,
    source: Source,
    progress: Callable[[int], None] = lambda read: None,  # noqa: ARG005
) -> ReprocessResult:
    """Rebuild all that is derived from the raw records of one source.

    If it is killed, a part is rebuilt and the rest is unchanged; run it again.

    Raises:
        LockedError: a worker is reading this source.
        DatabaseUnavailableError: the database cannot be reached.
    """
    with reachable(), locked(engine, source.name) as conn:
        kind = _ReprocessClaims if source.name in RAW_LISTS else _Reprocess
        return kind(conn, source).execute(progress)


class _Reprocess:
    """Rebuilds one source under its lock."""

    def __init__(self, conn: Connection, source: Source) -> None:
        self.conn = conn
        self.source = source
        self.statements = read_statements(__file__, "reprocess.sql", **source_parts(source.name))

    def execute(self, progress: Callable[[int], None]) -> ReprocessResult:
        with self.conn.begin():
            transaction.create_staging(self.conn, self.source.name)
            self.names = renames.RawNames(self.conn, self.source.name)
        read = unreadable = 0
        for rows in self._batches():
            readable = self._rebuild(rows)
            read += len(rows)
            unreadable += len(rows) - readable
            progress(read)
        self._rebuild_derived()
        return ReprocessResult(read, unreadable)

    def _rebuild_derived(self) -> None:
        with self.conn.begin():
            self.conn.execute(
                self.statements["delete_unfounded_observations"], {"source": self.source.name}
            )
        self._rebuild_listings()
        self._rebuild_assets()

    def _batches(self) -> Iterator[Sequence[Row[Any]]]:
        """Yield the raw records in batches, each read in its own transaction."""
        after: RawKey | Row[Any] = FIRST_KEY
        while True:
            with self.conn.begin():
                rows = read_raw(self.conn, self.source.name, after)
            if not rows:
                return
            yield rows
            after = rows[-1]

    def _rebuild(self, rows: Sequence[Row[Any]]) -> int:
        periods = periods_of([row.observed_at for row in rows])
        partitions.create_partitions(self.conn, self.source.name, periods)
        with self.conn.begin():
            observed = observe_raw(self.source, rows)
            copy.copy_fresh(self.conn, observed)
            self.names.collect(rows, observed)
            lock_identity(self.conn)
            updated = transaction.update_listings(self.conn, self.source.name, None)
            self.conn.execute(self.statements["rebuild_observations"])
            moved = transaction.resolve_assets(self.conn, None, updated)
            transaction.unify_assets(self.conn, self.source.name, moved)
        return len(observed)

    def _rebuild_listings(self) -> None:
        """Rebuild each listing from its newest raw record."""
        name, after = self.source.name, 0
        while True:
            with self.conn.begin():
                lock_identity(self.conn)
                rows = self.conn.execute(
                    self.statements["read_newest_raw"],
                    {"source": name, "after": after, "limit": ROWS_AT_ONCE},
                ).all()
                if not rows:
                    return
                unpruned = [row for row in rows if row.payload_hash is not None]
                copy.copy_fresh(self.conn, observe_raw(self.source, unpruned))
                updated = transaction.update_listings(self.conn, name, None, rebuild=True)
                moved = transaction.resolve_assets(self.conn, None, updated)
                transaction.unify_assets(self.conn, name, moved)
            after = rows[-1].id

    def _rebuild_assets(self) -> None:
        """Decide again for all listings, and unify all assets."""
        with self.conn.begin():
            lock_identity(self.conn)
            self.conn.execute(
                self.statements["delete_unobserved_listings"], {"source": self.source.name}
            )
            self.conn.execute(self.statements["delete_unfounded_matches"])
            self.names.rebuild()
            delisting.mark_listings(self.conn, self.source.name)
            pairs.delete_all_pairs(self.conn)
            store.resolve(self.conn, None, every=True)
            self.conn.execute(self.statements["delete_empty_assets"])
            every = self.conn.scalars(self.statements["find_all_assets"]).all()
            transaction.unify_assets(self.conn, self.source.name, every)


class _ReprocessClaims(_Reprocess):
    """Rebuilds the claims and contracts of a list of contracts."""

    def _rebuild(self, rows: Sequence[Row[Any]]) -> int:
        with self.conn.begin():
            readable = claims.copy_reread(self.conn, self.source, rows)
            claims.rebuild_claims(self.conn, self.source.name)
        return readable

    def _rebuild_derived(self) -> None:
        name = self.source.name
        with self.conn.begin():
            claims.delete_unfounded_claims(self.conn, name)
            moved = claims.update_contracts(self.conn, name, None)
            transaction.unify_assets(self.conn, name, moved)
