"""Partitions made before the records that go into them."""

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
    """Make room for a source's records of these periods, where there is none.

    Each table's in a transaction of its own, which holds no reader and no writer up. What is there
    is remembered as long as the connection lives; no one but the source's own lock may drop any.
    `at` is called with the name of each point at which a crash can be injected.
    """
    for table in _tables_of(source):
        known = conn.info.setdefault(("partitions", table), set())
        if known.issuperset(periods):
            continue
        with conn.begin():
            there = find_partitions(conn, table)
        missing = [period for period in periods if period.of(table) not in there]
        if missing:
            _create(conn, table, missing, at)
        known.update(periods)


def find_partitions(conn: Connection, table: str) -> set[str]:
    """Name the partitions that a table has."""
    return set(conn.scalars(_statements(table)["find_partitions"], {"table": table}))


def is_pruned(conn: Connection, source: str, periods: Collection[Period]) -> bool:
    """Whether raw records of one of the periods may have been pruned.

    Asked once a connection: no one but the source's own lock may prune.
    """
    if ("pruned", source) not in conn.info:
        stmt = select(pruned_partitions.c.observed_from).distinct()
        found = conn.scalars(stmt.where(pruned_partitions.c.source == source))
        conn.info["pruned", source] = periods_of(found.all())
    pruned: frozenset[Period] = conn.info["pruned", source]
    return not pruned.isdisjoint(periods)


def _create(
    conn: Connection, table: str, periods: Sequence[Period], at: Callable[[str], object] | None
) -> None:
    with conn.begin():
        conn.execute(_statements(table)["lock_table"])
        there = find_partitions(conn, table)
        for period in periods:
            if period.of(table) in there:
                continue
            statements = _statements(
                table,
                partition=period.of(table),
                start=_bound(period.start, "MINVALUE"),
                end=_bound(period.end, "MAXVALUE"),
            )
            conn.execute(statements["create_partition"])
            if at is not None:
                at("before_attach")
            conn.execute(statements["attach_partition"])


def _tables_of(source: str) -> Sequence[str]:
    """Name the partitioned tables that a source's records go to."""
    return [RAW[source].name, observations.name] if source in RAW else []


def _statements(table: str, **parts: str) -> dict[str, TextClause]:
    unused = dict.fromkeys(("partition", "start", "end"), "")
    return read_statements(__file__, "partitions.sql", table=table, **{**unused, **parts})


def _bound(at: datetime | None, unbounded: str) -> str:
    """Write a border for DDL, which takes no parameters."""
    return unbounded if at is None else f"'{at:%Y-%m-%d} 00:00Z'"
