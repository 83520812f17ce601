"""Decide which sources are due: those that are not read in every pass."""

from collections.abc import Sequence

from sqlalchemy import Connection, func, or_, select

from shared.model.catalogue import EXPECTATIONS
from shared.model.expectations import AGAIN_AFTER
from shared.schema.operations import checkpoints, runs


def read_due(conn: Connection, sources: Sequence[str]) -> list[str]:
    """Return the sources that are due, in the given order.

    A source with `read_every` is due when its last successful run is that old. After any run it is
    not due for `AGAIN_AFTER`. Clearing its checkpoint makes it due at once.
    """
    known = (
        select(
            runs.c.source,
            func.max(runs.c.started_at).label("last"),
            func.max(runs.c.started_at).filter(runs.c.outcome == "succeeded").label("good"),
        )
        .where(
            runs.c.command == "run",
            runs.c.source.in_([each for each in sources if EXPECTATIONS[each].read_every]),
        )
        .group_by(runs.c.source)
        .subquery()
    )
    stmt = (
        select(
            known.c.source,
            (func.now() - known.c.last).label("since_last"),
            (func.now() - known.c.good).label("since_good"),
        )
        .outerjoin(checkpoints, checkpoints.c.source == known.c.source)
        .where(or_(checkpoints.c.cleared_at.is_(None), checkpoints.c.cleared_at < known.c.last))
    )
    ages = {row.source: row for row in conn.execute(stmt)}

    def is_due(source: str) -> bool:
        row, every = ages.get(source), EXPECTATIONS[source].read_every
        if row is None or every is None:
            return True
        is_old = row.since_good is None or row.since_good >= every
        return bool(is_old and row.since_last >= AGAIN_AFTER)

    return [source for source in sources if is_due(source)]
