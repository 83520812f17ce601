"""The pairs of listings that identity compared, and the comparison of their prices over time.

Prices affect a resolution only through the verdicts of the pairs that it asked for. So a batch
updates the verdicts of stored pairs, and new prices cause a decision only where a verdict changed.
`corroboration.py` defines the words for results.
"""

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet

from sqlalchemy import Connection, Row, TextClause

from shared.model.reviews import DIFFER_BEYOND
from worker.database.statements import COMPARED_BESIDE_BATCH, read_reusable
from worker.identity.resolver.corroboration import (
    AGREE_WITHIN,
    FEWEST_SHARED,
    LASTING,
    LASTING_CELLS,
    Standing,
)
from worker.identity.resolver.evidence import Candidate
from worker.identity.value_comparison import accords_change

KEPT_TABLE, RECOMPUTED_TABLE = "compared_pairs", "recomputed_pairs"
"""The stored pairs; the pairs that `verify` compares again from the observations."""

IdPair = tuple[int, int]
_UNKNOWN = Standing("unknown")


def _cell(time: str) -> str:
    """Return SQL for the cell of a time's own hour; `time` is SQL, too."""
    return f"date_bin(interval '1 hour', {time}, timestamptz '0001-01-01 00:00:00+00')"


def _first_cell(time: str) -> str:
    """Return SQL for the first cell of an observation.

    In the first half of an hour it is in two cells (this hour's and the one before), later in one.
    """
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


STATEMENTS = {table: _read(table) for table in (KEPT_TABLE, RECOMPUTED_TABLE)}


class Comparisons:
    """The price comparisons of pairs in the block, for the resolver.

    Calling it for a pair returns `unknown` until `add` has compared the pair.
    """

    def __init__(self, conn: Connection, table: str = KEPT_TABLE) -> None:
        self._conn = conn
        self._statements = STATEMENTS[table]
        self._standings: dict[IdPair, Standing] = {}
        self._asked: set[IdPair] = set()
        if table == RECOMPUTED_TABLE:
            conn.execute(self._statements["create_recomputed_pairs"])
        self._read()

    def __call__(self, one: Candidate, other: Candidate) -> Standing:
        low, high = sorted((one.listing_id, other.listing_id))
        self._asked.add((low, high))
        return self._standings.get((low, high), _UNKNOWN)

    def start_recording(self) -> set[IdPair]:
        """Return a set to which pairs are added as they are asked for, until the next call."""
        self._asked = set()
        return self._asked

    def lacks(self, pairs: AbstractSet[IdPair]) -> bool:
        return not pairs <= self._standings.keys()

    def add(self, pairs: AbstractSet[IdPair]) -> None:
        """Compare those of the pairs that were not compared yet."""
        missing = pairs - self._standings.keys()
        if not missing:
            return
        self._conn.execute(self._statements["add_due_pairs"], _as_parameters(missing))
        self._conn.execute(self._statements["compare_due_pairs"])
        self._conn.execute(self._statements["empty_due_pairs"])
        self._read()

    def keep_only(self, asked: AbstractSet[IdPair]) -> None:
        """Delete the other pairs in the block."""
        if self._standings.keys() - asked:
            self._conn.execute(self._statements["delete_other_pairs"], _as_parameters(asked))

    def mark_shared(self) -> bool:
        """Do what the function `mark_shared` does; return whether any pair changed."""
        return mark_shared(self._conn, self._statements) > 0

    def _read(self) -> None:
        self._standings = {
            (row.listing_id, row.other_listing_id): _standing(row)
            for row in self._conn.execute(self._statements["read_pairs"])
        }


def create_due_pairs(conn: Connection) -> None:
    """Create the temporary table of pairs to compare again, unless the session has it."""
    conn.execute(STATEMENTS[KEPT_TABLE]["create_due_pairs"])


def touch_changed_prices(conn: Connection) -> int:
    """Update the pairs of the batch's listings with its observations, which are already stored.

    If a verdict changes, the keys of both listings go to `touched_keys`, so they are decided again.
    Returns the number of keys.
    """
    statements = STATEMENTS[KEPT_TABLE]
    if not conn.execute(statements["find_due_pairs"]).rowcount:
        return 0
    changed = conn.execute(statements["compare_due_pairs"]).all()
    conn.execute(statements["empty_due_pairs"])
    return touch(conn, {each for row in changed for each in row}) + mark_shared(conn, statements)


def touch_changed_accords(conn: Connection) -> int:
    """Touch the batch's listings whose market caps or supplies compare differently than before.

    Must be called before the batch updates `listings`. Returns the number of keys.
    """
    return conn.execute(STATEMENTS[KEPT_TABLE]["find_touched_accords"]).rowcount


def touch(conn: Connection, listing_ids: Collection[int]) -> int:
    if not listing_ids:
        return 0
    asked = {"ids": sorted(listing_ids)}
    return conn.execute(STATEMENTS[KEPT_TABLE]["touch_listings"], asked).rowcount


def mark_shared(conn: Connection, statements: Mapping[str, TextClause]) -> int:
    """Mark the price differences for which a source is wrong, and touch the pairs that changed.

    It is wrong if they began at the same time in most of its pairs. Returns the number of keys.
    """
    changed = conn.execute(statements["mark_shared"]).all()
    return touch(conn, {each for row in changed for each in row})


def must_compare_all_pairs(conn: Connection) -> bool:
    """Return whether all pairs must be compared from the start, as after a migration."""
    return bool(conn.scalar(STATEMENTS[KEPT_TABLE]["must_compare_all_pairs"]))


def delete_all_pairs(conn: Connection) -> None:
    conn.execute(STATEMENTS[KEPT_TABLE]["delete_all_pairs"])


def _standing(row: Row[tuple[object, ...]]) -> Standing:
    if row.verdict == "disputed" or row.is_shared:
        return Standing("agree" if row.agreed_at else "unknown", is_disputed=True)
    return Standing("differ" if row.verdict == "broken" else row.verdict)


def _as_parameters(pairs: Collection[IdPair]) -> dict[str, list[int]]:
    ordered = sorted(pairs)
    return {"ones": [one for one, _ in ordered], "others": [other for _, other in ordered]}
