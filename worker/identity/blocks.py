"""The listings to decide on together, in the form that the resolver takes."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row

from worker.identity.evidence import Candidate, Ruling
from worker.statements import read_statements

STATEMENTS = read_statements("identity.sql")


def read_block(conn: Connection) -> tuple[list[Candidate], list[Ruling]]:
    """Read the listings under `touched_keys`, and all that hang together with them.

    Those that share a symbol, a contract or a ruling, and so on until nothing is added.
    """
    conn.execute(STATEMENTS["create_block"])
    added = conn.execute(STATEMENTS["begin_block"]).rowcount
    while added:
        added = conn.execute(STATEMENTS["grow_block"]).rowcount
    candidates = [_candidate(row) for row in conn.execute(STATEMENTS["read_candidates"])]
    return candidates, [*_read_corrections(conn), *_read_crosswalk(conn)]


def _candidate(row: Row[Any]) -> Candidate:
    contracts = frozenset((chain, address) for chain, address in row.contracts)
    return Candidate(**{**row._asdict(), "contracts": contracts})


def _read_corrections(conn: Connection) -> list[Ruling]:
    rows = conn.execute(STATEMENTS["read_corrections"])
    return [
        Ruling(
            (row.source, row.external_id),
            (row.other_source, row.other_external_id),
            row.same,
            "correction",
        )
        for row in rows
    ]


def _read_crosswalk(conn: Connection) -> list[Ruling]:
    """Say of each two listings of the block that a crosswalk names whether they are one."""
    rows: Sequence[Row[Any]] = conn.execute(STATEMENTS["read_crosswalk"]).all()
    return [
        Ruling(
            (one.source, one.external_id),
            (other.source, other.external_id),
            one.asset == other.asset,
            "crosswalk",
        )
        for n, one in enumerate(rows)
        for other in rows[n + 1 :]
        if one.asset == other.asset or one.symbol_key == other.symbol_key
    ]
