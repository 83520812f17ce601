"""Blocks: the listings that are decided together, as candidates and rulings for the resolver."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

from sqlalchemy import Connection, Row

from worker.database.statements import read_reusable, shared_parts
from worker.identity.blocks.crowds import CrowdedBlock, index_crowds
from worker.identity.resolver.evidence import Candidate, Name, Ruling
from worker.identity.resolver.labels.names import normalise
from worker.identity.resolver.parts.disjoint_sets import DisjointSets

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STATEMENTS = read_reusable(__file__, "blocks.sql", **shared_parts())


@dataclass(frozen=True, slots=True)
class Block:
    """Listings that are decided together, the rulings on them, and witnesses outside the block."""

    candidates: Sequence[Candidate]
    rulings: Sequence[Ruling]
    witnesses: Sequence[Candidate] = ()


def read_block(conn: Connection, *, every: bool) -> Block:
    """Read the listings under `touched_keys` and all that are connected with them, or all listings.

    Connected listings share a name, a present or former symbol, a contract or a ruling, directly or
    through others. Of a crowd, only the listings are read that the others affect.
    """
    witnesses: Sequence[Candidate] = ()
    if every:
        conn.execute(STATEMENTS["add_every_listing"])
    else:
        witnesses = _fill_block(conn)
    candidates = [_candidate(row) for row in conn.execute(STATEMENTS["read_candidates"])]
    ids = {candidate.listing_id for candidate in candidates}
    rulings = _read_rulings(conn, candidates)
    return Block(candidates, rulings, [each for each in witnesses if each.listing_id not in ids])


def _fill_block(conn: Connection) -> Sequence[Candidate]:
    """Fill the block, and return the witnesses that were read."""
    index_crowds(conn)
    crowded_block = CrowdedBlock(conn)
    is_extended = conn.execute(STATEMENTS["add_touched"]).rowcount > 0
    while is_extended:
        while is_extended:
            is_extended = conn.execute(STATEMENTS["add_connected"]).rowcount > 0
        is_extended = crowded_block.extend()
    return list(crowded_block.witnesses())


def _candidate(row: Row[Any]) -> Candidate:
    values = list(row)
    contracts, names, is_pending, is_delisted = values[-4:]
    parsed = (
        Name(symbol, name, EPOCH + timedelta(microseconds=int(since)))
        for symbol, name, since in names
    )
    values[-4:] = [frozenset(map(tuple, contracts)), frozenset(parsed), is_pending, is_delisted]
    return Candidate(*values)


def _read_rulings(conn: Connection, candidates: Sequence[Candidate]) -> list[Ruling]:
    corrections = _read_corrections(conn)
    lines: Sequence[Row[Any]] = conn.execute(STATEMENTS["read_crosswalk"]).all()
    if not lines:
        return corrections
    return [*corrections, *_compare_lines(lines, _connect(candidates, corrections))]


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


def _connect(
    candidates: Sequence[Candidate], corrections: Sequence[Ruling]
) -> DisjointSets[Hashable]:
    sets: DisjointSets[Hashable] = DisjointSets()
    for candidate in candidates:
        ref = candidate.ref
        sets.join(ref, ("symbol", normalise(candidate.symbol) or ref))
        sets.join(ref, ("name", normalise(candidate.name) or ref))
        for name in candidate.names:
            sets.join(ref, ("symbol", normalise(name.symbol) or ref))
        for contract in candidate.contracts:
            sets.join(ref, ("contract", *contract))
    for ruling in corrections:
        sets.join(ruling.one, ruling.other)
    return sets


def _compare_lines(lines: Sequence[Row[Any]], sets: DisjointSets[Hashable]) -> list[Ruling]:
    """Return a ruling for each two connected listings that are in the crosswalk."""
    for line in lines:
        sets.join((line.source, line.external_id), ("asset", line.asset))
    connected: dict[Hashable, list[Row[Any]]] = {}
    for line in lines:
        connected.setdefault(sets.find((line.source, line.external_id)), []).append(line)
    return [
        Ruling(
            (one.source, one.external_id),
            (other.source, other.external_id),
            one.asset == other.asset,
            "crosswalk",
        )
        for of_set in connected.values()
        for one, other in combinations(of_set, 2)
    ]
