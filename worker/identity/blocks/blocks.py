"""The listings to decide on together, in the form that the resolver takes."""

from collections.abc import Hashable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

from sqlalchemy import Connection, Row

from worker.database.statements import read_reusable, shared_parts
from worker.identity.resolver.evidence import Candidate, Name, Ruling
from worker.identity.resolver.labels.names import normalise

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STATEMENTS = read_reusable(__file__, "blocks.sql", **shared_parts())


def read_block(conn: Connection) -> tuple[list[Candidate], list[Ruling]]:
    """Read the listings under `touched_keys`, and all that hang together with them.

    Those that share a name, a symbol that they have or had, a contract or a ruling, and so on until
    nothing is added.
    """
    added = conn.execute(STATEMENTS["begin_block"]).rowcount
    while added:
        added = conn.execute(STATEMENTS["grow_block"]).rowcount
    candidates = [_candidate(row) for row in conn.execute(STATEMENTS["read_candidates"])]
    corrections = _read_corrections(conn)
    near = _Near()
    for each in candidates:
        near.join(each.ref, ("symbol", normalise(each.symbol) or each.ref))
        near.join(each.ref, ("name", normalise(each.name) or each.ref))
        for name in each.names:
            near.join(each.ref, ("symbol", normalise(name.symbol) or each.ref))
        for contract in each.contracts:
            near.join(each.ref, ("contract", *contract))
    for ruling in corrections:
        near.join(ruling.one, ruling.other)
    return candidates, [*corrections, *_read_crosswalk(conn, near)]


def _candidate(row: Row[Any]) -> Candidate:
    contracts = frozenset((chain, address) for chain, address in row.contracts)
    names = frozenset(
        Name(symbol, name, EPOCH + timedelta(microseconds=int(since)))
        for symbol, name, since in row.names
    )
    return Candidate(**{**row._asdict(), "contracts": contracts, "names": names})


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


def _read_crosswalk(conn: Connection, near: "_Near") -> list[Ruling]:
    """Say of each two listings that hang together and a crosswalk names whether they are one."""
    rows: Sequence[Row[Any]] = conn.execute(STATEMENTS["read_crosswalk"]).all()
    for row in rows:
        near.join((row.source, row.external_id), ("asset", row.asset))
    together: dict[Hashable, list[Row[Any]]] = {}
    for row in rows:
        together.setdefault(near.find((row.source, row.external_id)), []).append(row)
    return [
        Ruling(
            (one.source, one.external_id),
            (other.source, other.external_id),
            one.asset == other.asset,
            "crosswalk",
        )
        for named in together.values()
        for one, other in combinations(named, 2)
    ]


class _Near:
    """Which listings hang together, however far: by what they have in common."""

    def __init__(self) -> None:
        self._parents: dict[Hashable, Hashable] = {}

    def join(self, one: Hashable, other: Hashable) -> None:
        self._parents[self.find(one)] = self.find(other)

    def find(self, one: Hashable) -> Hashable:
        """Return what is the same for all that hang together."""
        while (above := self._parents.setdefault(one, one)) != one:
            self._parents[one] = one = self._parents[above]
        return one
