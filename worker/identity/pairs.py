"""The pairs of listings that identity compared, and what their prices said over time.

A resolution rests on the verdicts of the pairs that it asked for, and on nothing else that a price
can change: while those stand, so does the resolution. So a batch looks at them alone.
"""

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet

from sqlalchemy import Connection, Row, TextClause

from shared.model.reviews import DIFFER_BEYOND
from worker.database.statements import COMPARED_BESIDE_BATCH, read_reusable
from worker.identity.accords import accords_change
from worker.identity.resolver.corroboration import (
    AGREE_WITHIN,
    FEWEST_SHARED,
    LASTING,
    LASTING_CELLS,
    Standing,
)
from worker.identity.resolver.evidence import Candidate

KEPT, ANEW = "compared_pairs", "pairs_anew"

IdPair = tuple[int, int]
_UNKNOWN = Standing("unknown")


def _cell(time: str) -> str:
    return f"date_bin(interval '1 hour', {time}, timestamptz '0001-01-01 00:00:00+00')"


def _first_cell(time: str) -> str:
    """The earlier of the two cells that an observation of the first half of an hour is in."""
    return _cell(f"{time} - interval '30 minutes'")


def _read(table: str) -> Mapping[str, TextClause]:
    return read_reusable(
        __file__,
        "pairs.sql",
        pairs=table,
        cell_of_f=_cell("f.observed_at"),
        first_cell_of_f=_first_cell("f.observed_at"),
        cell_of_o=_cell("o.observed_at"),
        first_cell_of_o=_first_cell("o.observed_at"),
        cell_of_first=_cell("first"),
        agree_within=str(AGREE_WITHIN),
        differ_beyond=str(DIFFER_BEYOND),
        lasting_cells=str(LASTING_CELLS),
        lasting=f"interval '{LASTING.total_seconds():.0f} seconds'",
        fewest_shared=str(FEWEST_SHARED),
        o_or_m_compared=COMPARED_BESIDE_BATCH,
        accords_change=accords_change(("l", "o"), ("n", "p")),
    )


STATEMENTS = {table: _read(table) for table in (KEPT, ANEW)}


class Comparisons:
    """The standing of prices of each two listings in the block, as the resolver asks for it.

    What it asks for and is not there yet is `unknown`, until `add` works it out.
    """

    def __init__(self, conn: Connection, table: str = KEPT) -> None:
        self._conn = conn
        self._statements = STATEMENTS[table]
        self._known: dict[IdPair, Standing] = {}
        self._asked: set[IdPair] = set()
        if table == ANEW:
            conn.execute(self._statements["create_pairs_anew"])
        self._read()

    def __call__(self, one: Candidate, other: Candidate) -> Standing:
        low, high = sorted((one.listing_id, other.listing_id))
        self._asked.add((low, high))
        return self._known.get((low, high), _UNKNOWN)

    def listen(self) -> set[IdPair]:
        """Return what is asked for from now on, until the next call."""
        self._asked = set()
        return self._asked

    def lacks(self, pairs: AbstractSet[IdPair]) -> bool:
        return not pairs <= self._known.keys()

    def add(self, pairs: AbstractSet[IdPair]) -> None:
        """Work out those of the pairs that are missing."""
        missing = pairs - self._known.keys()
        if not missing:
            return
        self._conn.execute(self._statements["add_due_pairs"], _columns(missing))
        self._conn.execute(self._statements["weigh_due_pairs"])
        self._conn.execute(self._statements["empty_due_pairs"])
        self._read()

    def delete_all_but(self, asked: AbstractSet[IdPair]) -> None:
        """Delete the pairs in the block that nothing asked for."""
        if self._known.keys() - asked:
            self._conn.execute(self._statements["delete_unasked_pairs"], _columns(asked))

    def mark_shared(self) -> bool:
        """Mark the contradictions that most pairs share; say whether any changed."""
        return mark_shared(self._conn, self._statements) > 0

    def _read(self) -> None:
        self._known = {
            (row.listing_id, row.other_listing_id): _standing(row)
            for row in self._conn.execute(self._statements["read_pairs"])
        }


def create_due_pairs(conn: Connection) -> None:
    """Create the temporary table of pairs to work out anew; again changes nothing."""
    conn.execute(STATEMENTS[KEPT]["create_due_pairs"])


def touch_changed_prices(conn: Connection) -> int:
    """Bring the pairs of the batch's listings up to its observations, which are stored already.

    Those whose verdict changes are decided anew: their keys are put among the `touched_keys`.
    Returns how many.
    """
    statements = STATEMENTS[KEPT]
    if not conn.execute(statements["find_due_pairs"]).rowcount:
        return 0
    changed = conn.execute(statements["weigh_due_pairs"]).all()
    conn.execute(statements["empty_due_pairs"])
    return touch(conn, {each for row in changed for each in row}) + mark_shared(conn, statements)


def touch_changed_accords(conn: Connection) -> int:
    """Touch the batch's listings whose market caps or supplies compare otherwise than before.

    To be called before the batch updates `listings`. Returns how many.
    """
    return conn.execute(STATEMENTS[KEPT]["find_touched_accords"]).rowcount


def touch(conn: Connection, listing_ids: Collection[int]) -> int:
    if not listing_ids:
        return 0
    asked = {"ids": sorted(listing_ids)}
    return conn.execute(STATEMENTS[KEPT]["touch_listings"], asked).rowcount


def mark_shared(conn: Connection, statements: Mapping[str, TextClause]) -> int:
    """Mark which contradictions most pairs of a source share, and touch those that changed."""
    changed = conn.execute(statements["mark_shared"]).all()
    return touch(conn, {each for row in changed for each in row})


def is_unfounded(conn: Connection) -> bool:
    """Say whether matches are there and no pair is, as after a migration."""
    return bool(conn.scalar(STATEMENTS[KEPT]["is_unfounded"]))


def delete_every_pair(conn: Connection) -> None:
    conn.execute(STATEMENTS[KEPT]["delete_every_pair"])


def _standing(row: Row[tuple[object, ...]]) -> Standing:
    if row.verdict == "disputed" or row.is_shared:
        return Standing("agree" if row.agreed_at else "unknown", is_disputed=True)
    return Standing("differ" if row.verdict == "broken" else row.verdict)


def _columns(pairs: Collection[IdPair]) -> dict[str, list[int]]:
    ordered = sorted(pairs)
    return {"ones": [one for one, _ in ordered], "others": [other for _, other in ordered]}
