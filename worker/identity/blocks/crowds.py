"""Crowds: which listings of a symbol that very many share a batch has to read.

The index of crowds finds the listings that have a connecting key in common with the batch
(`resolver/parts/keys.py`). For a counted key, a few witnesses are read instead of all holders if
they prove that their side is ambiguous.

The index depends on how labels are parsed. A release that changes that must empty the index with a
migration; `tests/unit/test_crowd_hashes.py` notices the change.
"""

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b

from sqlalchemy import Connection, Row

from worker.database.statements import read_reusable
from worker.identity.resolver.evidence import Candidate, Name, side_of
from worker.identity.resolver.labels.labels import Labels, parse_labels
from worker.identity.resolver.parts.keys import (
    FEWEST_DUPLICATES,
    CountedKey,
    connecting_keys,
    counted_keys,
    repeats_symbol,
)

STATEMENTS = read_reusable(__file__, "crowds.sql")

MOST_READ = 200
"""A symbol with more names is a crowd."""
MOST_WITNESSES = FEWEST_DUPLICATES + 2
"""Some more than needed: one may have had the key under a former name only, or be too new."""

LabelRow = Row[tuple[object, ...]]


def index_crowds(conn: Connection, most: int = MOST_READ) -> None:
    """Index the touched symbols that have become crowds, with all their listings."""
    symbols = list(conn.scalars(STATEMENTS["find_new_crowds"], {"most": most}))
    if symbols:
        _index(conn, conn.execute(STATEMENTS["read_labels_of_symbols"], {"symbols": symbols}).all())


def delete_index(conn: Connection) -> None:
    """Delete the index; the next batch that touches a crowd indexes it again."""
    conn.execute(STATEMENTS["delete_index"])


class CrowdedBlock:
    """Extends a block with the listings of crowds that affect it, or that it affects."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._has_crowds = bool(conn.scalar(STATEMENTS["has_crowds"]))
        self._processed: set[tuple[int, str, str]] = set()
        self._witnesses: dict[int, list[Candidate]] = {}
        self._delisted: dict[int, datetime] = {}
        """For each hash, the earliest last observation of a delisted listing."""

    def extend(self) -> bool:
        """Add the listings that are connected with the block; return whether any were added."""
        if not self._has_crowds:
            return False
        rows = self._conn.execute(STATEMENTS["read_labels_of_block"]).all()
        new = [row for row in rows if (row.listing_id, row.symbol, row.name) not in self._processed]
        if not new:
            return False
        self._processed.update((row.listing_id, row.symbol, row.name) for row in new)
        _index(self._conn, new)
        connecting = {number for row in new for number in _connecting_hashes(row)}
        added = self._add("add_holders", keys=sorted(connecting))
        symbols = {_labels(row).symbol_key for row in new if _connects_symbol(row)}
        added += self._add("add_listings_of_symbols", symbols=sorted(symbols))
        added += self._add("add_linked")
        added += self._add("add_holders", keys=self._find_unproven(new))
        return added > 0

    def witnesses(self) -> Iterator[Candidate]:
        """Yield the witnesses that were read; some may have been added to the block since."""
        yield from {each.ref: each for found in self._witnesses.values() for each in found}.values()

    def _find_unproven(self, rows: Sequence[LabelRow]) -> list[int]:
        """Find the counted keys of sides that witnesses do not prove to be ambiguous."""
        symbols = sorted({_labels(row).symbol_key for row in rows})
        found = self._conn.execute(STATEMENTS["read_sides"], {"symbols": symbols})
        sides = {row.symbol_key: row.sides for row in found}
        counted: dict[int, CountedKey] = {}
        for row in rows:
            for key in counted_keys(_labels(row)):
                # A symbol alone links none: there, only the listing's own side matters.
                for side in sides[key[0]] if key[2] else [_side(row)]:
                    counted[_hash(side, *key)] = key
        self._read_witnesses(counted)
        return [number for number in counted if not self._is_proven(number)]

    def _read_witnesses(self, counted: Mapping[int, CountedKey]) -> None:
        """Read witnesses for new hashes, and keep those that have the key under present labels."""
        new = sorted(counted.keys() - self._witnesses.keys())
        if not new:
            return
        self._witnesses.update((number, []) for number in new)
        asked = {"keys": new, "most": MOST_WITNESSES}
        for row in self._conn.execute(STATEMENTS["read_witnesses"], asked):
            if counted[row.key] in counted_keys(_labels(row)):
                self._witnesses[row.key].append(_witness(row))
        numbers = {_hash_of_delisted(number): number for number in new}
        for row in self._conn.execute(STATEMENTS["read_delisted"], {"keys": sorted(numbers)}):
            self._delisted[numbers[row.key]] = row.observed_at

    def _is_proven(self, number: int) -> bool:
        """Return whether enough witnesses are older than the first delisting.

        `find_ambiguous_sides` then finds the side ambiguous, whatever other holders there are.
        """
        since = sorted(name.since for each in self._witnesses[number] for name in each.names)
        if len(since) < FEWEST_DUPLICATES:
            return False
        delisted = self._delisted.get(number)
        return delisted is None or since[FEWEST_DUPLICATES - 1] < delisted

    def _add(self, statement: str, **asked: Collection[object]) -> int:
        if asked and not any(asked.values()):
            return 0
        return self._conn.execute(STATEMENTS[statement], asked).rowcount


def _index(conn: Connection, rows: Sequence[LabelRow]) -> None:
    sides = sorted({(_labels(row).symbol_key, _side(row)) for row in rows})
    conn.execute(
        STATEMENTS["insert_sides"],
        {"symbols": [symbol for symbol, _ in sides], "sides": [side for _, side in sides]},
    )
    keys = sorted({(number, row.listing_id) for row in rows for number in _hashes(row)})
    conn.execute(
        STATEMENTS["insert_keys"],
        {"keys": [number for number, _ in keys], "ids": [listing_id for _, listing_id in keys]},
    )


def _hashes(row: LabelRow) -> Iterator[int]:
    """Yield the hashes under which a listing is stored for one symbol and name."""
    labels = _labels(row)
    for connecting in connecting_keys(labels):
        yield _hash(*connecting)
    if _connects_symbol(row):
        yield _hash_of_renamed(labels.symbol_key)
    for counted in counted_keys(labels):
        number = _hash(_side(row), *counted)
        yield number
        if row.is_delisted:
            yield _hash_of_delisted(number)


def _connecting_hashes(row: LabelRow) -> Iterator[int]:
    """Yield the hashes whose holders are connected with the listing, or connect its symbol."""
    labels = _labels(row)
    for connecting in connecting_keys(labels):
        yield _hash(*connecting)
    yield _hash_of_renamed(labels.symbol_key)


def _connects_symbol(row: LabelRow) -> bool:
    """Return whether `find_connecting_symbols` finds the symbol because of this listing."""
    return bool(row.is_renamed) and repeats_symbol(_labels(row))


def _hash_of_renamed(symbol_key: str) -> int:
    return _hash("renamed", symbol_key)


def _hash_of_delisted(number: int) -> int:
    """Derive the hash that delisted listings have in addition to a counted one."""
    return _hash("delisted", number)


@lru_cache(maxsize=20_000)
def _hash(*parts: Hashable) -> int:
    """Hash a key, equally in all processes. A collision only makes a batch read more listings."""
    text = repr([sorted(part) if isinstance(part, frozenset) else part for part in parts])
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def _side(row: LabelRow) -> str:
    return side_of((row.source, row.external_id))


def _labels(row: LabelRow) -> Labels:
    return parse_labels(row.source, row.external_id, row.symbol, row.name)


def _witness(row: LabelRow) -> Candidate:
    return Candidate(
        row.listing_id,
        row.source,
        row.external_id,
        row.symbol,
        row.name,
        row.observed_at,
        names=frozenset({Name(row.symbol, row.name, row.since)}),
    )
