"""The listings to decide on together, in the form that the resolver takes."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

from sqlalchemy import Connection, Row

from worker.database.statements import read_reusable, shared_parts
from worker.identity.blocks.crowds import Crowds, note_crowds
from worker.identity.resolver.evidence import Candidate, Name, Ruling
from worker.identity.resolver.labels.names import normalise

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STATEMENTS = read_reusable(__file__, "blocks.sql", **shared_parts())


@dataclass(frozen=True, slots=True)
class Block:
    """Listings to decide on together, what was ruled of them, and who stands for others."""

    candidates: Sequence[Candidate]
    rulings: Sequence[Ruling]
    witnesses: Sequence[Candidate] = ()


def read_block(conn: Connection, *, every: bool) -> Block:
    """Read the listings under `touched_keys`, or every one, and all that hang together with them.

    Those that share a name, a symbol that they have or had, a contract or a ruling, and so on until
    nothing is added; of a crowd that shares a symbol, only those to which that can matter.
    """
    witnesses: Sequence[Candidate] = ()
    if every:
        conn.execute(STATEMENTS["fill_block"])
    else:
        witnesses = _find_block(conn)
    candidates = [_candidate(row) for row in conn.execute(STATEMENTS["read_candidates"])]
    there = {each.listing_id for each in candidates}
    rulings = _read_rulings(conn, candidates)
    return Block(candidates, rulings, [w for w in witnesses if w.listing_id not in there])


def _find_block(conn: Connection) -> Sequence[Candidate]:
    note_crowds(conn)
    crowds = Crowds(conn)
    added = conn.execute(STATEMENTS["begin_block"]).rowcount > 0
    while added:
        while added:
            added = conn.execute(STATEMENTS["grow_block"]).rowcount > 0
        added = crowds.add_to_block()
    return list(crowds.witnesses())


def _read_rulings(conn: Connection, candidates: Sequence[Candidate]) -> list[Ruling]:
    corrections = _read_corrections(conn)
    named: Sequence[Row[Any]] = conn.execute(STATEMENTS["read_crosswalk"]).all()
    if not named:
        return corrections
    return [*corrections, *_compare_named(named, _find_near(candidates, corrections))]


def _find_near(candidates: Sequence[Candidate], corrections: Sequence[Ruling]) -> "_Near":
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
    return near


def _candidate(row: Row[Any]) -> Candidate:
    values = list(row)
    contracts, names, is_pending, is_delisted = values[-4:]
    told = (
        Name(symbol, name, EPOCH + timedelta(microseconds=int(since)))
        for symbol, name, since in names
    )
    values[-4:] = [frozenset(map(tuple, contracts)), frozenset(told), is_pending, is_delisted]
    return Candidate(*values)


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


def _compare_named(rows: Sequence[Row[Any]], near: "_Near") -> list[Ruling]:
    """Say of each two listings that hang together and a crosswalk names whether they are one."""
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
