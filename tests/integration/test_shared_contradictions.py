"""Which lasting contradictions are their source's own fault, and no evidence on any one pair."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, insert, select, text, update

from shared.schema.identity import compared_pairs
from worker.identity import pairs, store
from worker.identity.resolver.corroboration import FEWEST_SHARED

START = datetime(2026, 1, 2, tzinfo=UTC)
GECKO, PAPRIKA, CSV = 0, 1000, 2000
"""Of each source there is a listing for every number; its id is that many higher."""

CREATE_LISTINGS = text("""
INSERT INTO assets (id, slug, symbol, name) OVERRIDING SYSTEM VALUE VALUES (1, 'coin', 'C', 'Coin');
INSERT INTO listings (id, asset_id, run_id, source, external_id, symbol, name, symbol_key, name_key,
                      observed_at, payload_hash, match_method, match_score, match_evidence)
OVERRIDING SYSTEM VALUE
SELECT s.first + n, 1, 1, s.source, 'coin-' || n, 'C', 'Coin', 'c', 'coin', now(), '\\x01',
       'own', 1, '{}'
FROM (VALUES ('coingecko', 0), ('coinpaprika', 1000), ('csv', 2000)) AS s (source, first)
CROSS JOIN generate_series(1, 60) AS n
""")


@dataclass(frozen=True)
class Alike:
    """So many pairs; they differ since one hour, if at all, and were last compared at another."""

    count: int
    verdict: str
    differs: int | None = None
    compared: int = 9
    sides: tuple[int, int] = (GECKO, PAPRIKA)


def broken(count: int, differs: int = 0, **fields: Any) -> Alike:
    return Alike(count, "broken", differs, **fields)


def disputed(count: int, differs: int = 0, **fields: Any) -> Alike:
    return Alike(count, "disputed", differs, **fields)


def agree(count: int, **fields: Any) -> Alike:
    return Alike(count, "agree", **fields)


def _hour(number: int | None) -> datetime | None:
    return None if number is None else START + timedelta(hours=number)


@pytest.fixture
def desk(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as conn:
        conn.execute(CREATE_LISTINGS)
        store.create_tables(conn)
        yield conn


AGREE_AGAIN = {"verdict": "agree", "differs_since": None, "is_shared": False}


def put(conn: Connection, groups: Sequence[Alike]) -> None:
    number = 0
    for group in groups:
        for _ in range(group.count):
            number += 1
            one, other = (side + number for side in group.sides)
            row = {
                "listing_id": one,
                "other_listing_id": other,
                "compared_at": _hour(group.compared),
                "differs_since": _hour(group.differs),
                "verdict": group.verdict,
                "is_shared": False,
            }
            conn.execute(insert(compared_pairs).values(row))


def count_shared(conn: Connection) -> int:
    stmt = select(compared_pairs.c.verdict).where(compared_pairs.c.is_shared)
    verdicts = conn.scalars(stmt).all()
    assert set(verdicts) <= {"broken"}
    return len(verdicts)


MOST = FEWEST_SHARED


@pytest.mark.parametrize(
    ("groups", "shared"),
    [
        pytest.param([broken(MOST), agree(MOST - 1)], MOST, id="most pairs"),
        pytest.param([broken(MOST), agree(MOST)], 0, id="half of the pairs"),
        pytest.param([broken(MOST - 1)], 0, id="too few to tell"),
        pytest.param([broken(MOST, 0), agree(5 * MOST, compared=0)], 0, id="compared at once"),
        pytest.param([broken(MOST, 1), agree(4 * MOST, compared=0)], MOST, id="compared before"),
        pytest.param([broken(5), broken(5, 1), agree(9)], 10, id="within an hour"),
        pytest.param([broken(5), broken(5, 2)], 0, id="over more hours"),
        pytest.param([broken(4), disputed(6)], 4, id="some do not last yet"),
        pytest.param([broken(1, 1), disputed(9, 0, compared=0)], 1, id="begun an hour before"),
        pytest.param([broken(1, 1), disputed(9, 0), agree(8)], 1, id="with pairs that do not last"),
        pytest.param([broken(MOST), Alike(2 * MOST, "differ", 0)], MOST, id="beside other coins"),
        pytest.param([broken(1), Alike(MOST, "differ", 0)], 0, id="of pairs that never agreed"),
        pytest.param([disputed(MOST)], 0, id="nothing lasts yet"),
        pytest.param(
            [broken(MOST), agree(40, sides=(PAPRIKA, CSV))], MOST, id="most pairs of one source"
        ),
        pytest.param(
            [broken(5), broken(5, sides=(PAPRIKA, CSV)), agree(9, sides=(GECKO, CSV))],
            10,
            id="of a source beside two others",
        ),
    ],
)
def test_a_lasting_contradiction_is_shared(desk: Connection, groups: list[Alike], shared: int):
    put(desk, groups)

    touched = pairs.mark_shared(desk, pairs.STATEMENTS[pairs.KEPT_TABLE])

    assert count_shared(desk) == shared
    assert (touched > 0) == (shared > 0)
    assert pairs.mark_shared(desk, pairs.STATEMENTS[pairs.KEPT_TABLE]) == 0


def test_what_is_shared_no_more_counts_against_the_pair(desk: Connection):
    put(desk, [broken(MOST)])
    pairs.mark_shared(desk, pairs.STATEMENTS[pairs.KEPT_TABLE])
    assert count_shared(desk) == MOST

    right = compared_pairs.c.listing_id > MOST // 2
    desk.execute(update(compared_pairs).where(right).values(AGREE_AGAIN))

    assert pairs.mark_shared(desk, pairs.STATEMENTS[pairs.KEPT_TABLE]) > 0
    assert count_shared(desk) == 0
