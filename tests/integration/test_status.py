"""What `worker status` shows of each source."""

from sqlalchemy import Engine, insert

from shared.model.catalogue import SOURCES
from shared.schema.operations import runs
from worker.maintenance.status_queries import read_sources


def test_sources_that_never_ran_are_shown_with_those_that_did(engine: Engine):
    with engine.begin() as conn:
        before = read_sources(conn)
        for command, outcome in (("run", "failed"), ("import", "succeeded"), ("retry", "failed")):
            own = {"command": command, "outcome": outcome, "host": "h", "pid": 1}
            conn.execute(insert(runs).values(source="coingecko", **own))
        after = {row.source: (row.command, row.outcome) for row in read_sources(conn)}

    assert [(row.source, row.outcome, row.listings) for row in before] == [
        (source, None, None) for source in SOURCES
    ]
    assert after == {
        **dict.fromkeys(SOURCES, (None, None)),
        "coingecko": ("import", "succeeded"),
    }
