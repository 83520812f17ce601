"""Crowds: of listings that share one symbol, the few that what a batch touches can matter to.

What a new listing hangs together by, `parts` says; of a crowd that is looked up by its index. Where
a side is known to have a symbol, or a word under it, more than once whatever is decided, a few
witnesses of that stand for all others.
"""

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b

from sqlalchemy import Connection, Row

from worker.database.statements import read_reusable
from worker.identity.resolver.evidence import Candidate, Name, side_of
from worker.identity.resolver.known import Called, read_names
from worker.identity.resolver.parts.parts import (
    WITNESSES,
    SharedKey,
    close_keys,
    names_of_symbol,
    says_symbol,
    shared_keys,
)

STATEMENTS = read_reusable(__file__, "crowds.sql")

MOST_READ = 200
"""A symbol with more names is a crowd."""
MOST_WITNESSES = WITNESSES + 2
"""So many are looked at: one may have had a name only once, or be too young."""


def note_crowds(conn: Connection, most: int = MOST_READ) -> None:
    """Note which of the touched symbols are crowds from now on, with all that they hold."""
    symbols = list(conn.scalars(STATEMENTS["find_new_crowds"], {"most": most}))
    if symbols:
        _store(conn, conn.execute(STATEMENTS["read_names_of"], {"symbols": symbols}).all())


def forget_crowds(conn: Connection) -> None:
    """Forget what is known of crowds: it is found again with the next batch that touches them."""
    conn.execute(STATEMENTS["forget_crowds"])


class Crowds:
    """What listings in the block share with others of crowds; those that matter are added."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._is_any = bool(conn.scalar(STATEMENTS["has_crowds"]))
        self._seen: set[tuple[int, str, str]] = set()
        self._witnesses: dict[int, list[Candidate]] = {}
        self._delisted: dict[int, datetime] = {}
        """When the first delisted one of each key was observed last."""

    def add_to_block(self) -> bool:
        """Add to the block what hangs together with it; say whether there was any."""
        if not self._is_any:
            return False
        rows = self._conn.execute(STATEMENTS["read_crowded_names"]).all()
        new = [row for row in rows if (row.listing_id, row.symbol, row.name) not in self._seen]
        if not new:
            return False
        self._seen.update((row.listing_id, row.symbol, row.name) for row in new)
        _store(self._conn, new)
        asked = {key for row in new for key in _close_hashes(row)}
        added = self._add("add_holders", keys=sorted(asked))
        added += self._add("add_sharers", symbols=sorted(_symbols_in_question(new)))
        added += self._add("add_linked")
        added += self._add("add_holders", keys=self._find_unsure(new))
        return added > 0

    def witnesses(self) -> Iterator[Candidate]:
        """Yield those that stand for others of crowds; some of them may be in the block by now."""
        yield from {each.ref: each for found in self._witnesses.values() for each in found}.values()

    def _find_unsure(self, rows: Sequence[Row[tuple[object, ...]]]) -> list[int]:
        """Find what else the block shares that no witnesses prove to be shared anyway."""
        symbols = sorted({_called(row).symbol_key for row in rows})
        found = self._conn.execute(STATEMENTS["read_sides"], {"symbols": symbols})
        sides = {row.symbol_key: row.sides for row in found}
        shared: dict[int, SharedKey] = {}
        for row in rows:
            own = _side(row)
            for key in shared_keys(_called(row)):
                for side in sides[key[0]] if key[2] else [own]:
                    shared[_hash(side, *key)] = key
        self._read_witnesses(shared)
        return [number for number in shared if not self._is_proven(number)]

    def _read_witnesses(self, shared: Mapping[int, SharedKey]) -> None:
        """Read those of what was not asked for yet, and who still have what they are asked for."""
        asked = sorted(shared.keys() - self._witnesses.keys())
        self._witnesses.update((number, []) for number in asked)
        found = {"keys": asked, "most": MOST_WITNESSES}
        if not asked:
            return
        for row in self._conn.execute(STATEMENTS["read_witnesses"], found):
            if shared[row.key] in shared_keys(_called(row)):
                self._witnesses[row.key].append(_witness(row))
        of_delisted = {_delisted_key(number): number for number in asked}
        for row in self._conn.execute(STATEMENTS["read_delisted"], {"keys": sorted(of_delisted)}):
            self._delisted[of_delisted[row.key]] = row.observed_at

    def _is_proven(self, number: int) -> bool:
        """Say whether there are witnesses, older than when any that is delisted was last seen."""
        since = sorted(name.since for each in self._witnesses[number] for name in each.names)
        delisted = self._delisted.get(number)
        return len(since) >= WITNESSES and (delisted is None or since[WITNESSES - 1] < delisted)

    def _add(self, statement: str, **asked: Collection[object]) -> int:
        if asked and not any(asked.values()):
            return 0
        return self._conn.execute(STATEMENTS[statement], asked).rowcount


def _witness(row: Row[tuple[object, ...]]) -> Candidate:
    return Candidate(
        row.listing_id,
        row.source,
        row.external_id,
        row.symbol,
        row.name,
        row.observed_at,
        names=frozenset({Name(row.symbol, row.name, row.since)}),
    )


def _symbols_in_question(rows: Iterable[Row[tuple[object, ...]]]) -> set[str]:
    called = (_called(row) for row in rows if row.is_renamed)
    return {each.symbol_key for each in called if says_symbol(each)}


def _hashes(row: Row[tuple[object, ...]]) -> Iterator[int]:
    """Yield what a listing has under a name, by which it can be found."""
    called = _called(row)
    for key in close_keys(called):
        yield _hash(*key)
    for shared in shared_keys(called):
        number = _hash(_side(row), *shared)
        yield number
        if row.is_delisted:
            yield _delisted_key(number)


def _delisted_key(number: int) -> int:
    """Derive the key under which those that have another one are while they are delisted."""
    return _hash("delisted", number)


def _close_hashes(row: Row[tuple[object, ...]]) -> Iterator[int]:
    """Yield what those have that hang together with it, and those that are called as the symbol."""
    called = _called(row)
    for key in close_keys(called):
        yield _hash(*key)
    for name in names_of_symbol(called.symbol_key):
        yield _hash(called.symbol_key, name)


def _side(row: Row[tuple[object, ...]]) -> str:
    return side_of((row.source, row.external_id))


def _called(row: Row[tuple[object, ...]]) -> Called:
    return read_names(row.source, row.external_id, row.symbol, row.name)


@lru_cache(maxsize=20_000)
def _hash(*parts: Hashable) -> int:
    """Hash what is shared, alike in all processes; two that came out as one would only be read."""
    text = repr([sorted(part) if isinstance(part, frozenset) else part for part in parts])
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def _store(conn: Connection, rows: Sequence[Row[tuple[object, ...]]]) -> None:
    """Store what the names of a crowd come to, and of which sides there are some."""
    symbols, sides = zip(
        *sorted({(_called(row).symbol_key, _side(row)) for row in rows}), strict=True
    )
    conn.execute(STATEMENTS["note_sides"], {"symbols": list(symbols), "sides": list(sides)})
    keys, ids = zip(
        *sorted({(key, row.listing_id) for row in rows for key in _hashes(row)}), strict=True
    )
    conn.execute(STATEMENTS["insert_crowd_keys"], {"keys": list(keys), "ids": list(ids)})
