"""Create partitions before records are inserted into them."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, TextClause, select

from shared.schema.market import observations
from shared.schema.raw import RAW, pruned_partitions
from worker.database.periods import Period, periods_of
from worker.database.statements import read_statements


def create_partitions(
    conn: Connection,
    source: str,
    periods: Collection[Period],
    at: Callable[[str], object] | None = None,
) -> None:
    """Create the missing partitions for a source's records of these periods.

    Each table has a transaction of its own, which blocks neither readers nor writers. Existing
    periods are cached per connection: only the holder of the source's lock can drop partitions.
    `at` is called with the name of each fault point.
    """
    for table in _tables_of(source):
        existing = conn.info.setdefault(("partitions", table), set())
        if existing.issuperset(periods):
            continue
        with conn.begin():
            partitions = find_partitions(conn, table)
        missing = [period for period in periods if period.partition_of(table) not in partitions]
        if missing:
            _create(conn, table, missing, at)
        existing.update(periods)


def find_partitions(conn: Connection, table: str) -> set[str]:
    """Return the names of a table's partitions."""
    return set(conn.scalars(_statements(table)["find_partitions"], {"table": table}))


def is_pruned(conn: Connection, source: str, periods: Collection[Period]) -> bool:
    """Whether raw records of one of the periods may have been pruned.

    The pruned periods are cached per connection: only the holder of the source's lock can prune.
    """
    if ("pruned", source) not in conn.info:
        stmt = select(pruned_partitions.c.observed_from).distinct()
        starts = conn.scalars(stmt.where(pruned_partitions.c.source == source))
        conn.info["pruned", source] = periods_of(starts.all())
    pruned: frozenset[Period] = conn.info["pruned", source]
    return not pruned.isdisjoint(periods)


def _create(
    conn: Connection, table: str, periods: Sequence[Period], at: Callable[[str], object] | None
) -> None:
    with conn.begin():
        conn.execute(_statements(table)["lock_table"])
        partitions = find_partitions(conn, table)
        for period in periods:
            if period.partition_of(table) in partitions:
                continue
            statements = _statements(
                table,
                partition=period.partition_of(table),
                start=_bound(period.start, "MINVALUE"),
                end=_bound(period.end, "MAXVALUE"),
            )
            conn.execute(statements["create_partition"])
            if at is not None:
                at("before_attach")
            conn.execute(statements["attach_partition"])


def _tables_of(source: str) -> Sequence[str]:
    """Return the names of the partitioned tables for a source's records."""
    return [RAW[source].name, observations.name] if source in RAW else []


def _statements(table: str, **parts: str) -> dict[str, TextClause]:
    unused = dict.fromkeys(("partition", "start", "end"), "")
    return read_statements(__file__, "partitions.sql", table=table, **{**unused, **parts})


def _bound(at: datetime | None, unbounded: str) -> str:
    """Format a bound for DDL, which takes no parameters."""
    return unbounded if at is None else f"'{at:%Y-%m-%d} 00:00Z'"
