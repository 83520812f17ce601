"""Records of one pass that are of one listing and instant, and do not say the same."""

from collections.abc import Collection

from sqlalchemy import Connection

from worker.database.periods import Period, span
from worker.database.statements import read_statements, shared_parts

STATEMENTS = read_statements(__file__, "contradictions.sql", **shared_parts())

MOST_EXAMPLES = 3
"""Contradictions that a run's error names."""


def find_differing(
    conn: Connection, run_ids: Collection[int], periods: Collection[Period] = ()
) -> str | None:
    """Say which records of these runs contradict each other; `periods` hold all that they observed.

    Several runs are one that was cut off, and those that went on with it.
    """
    asked = {"run_ids": sorted(run_ids), "examples": MOST_EXAMPLES, **span(periods)}
    rows = conn.execute(STATEMENTS["find_differing"], asked).all()
    if not rows:
        return None
    named = [f"{row.external_id!r} at {row.observed_at:%Y-%m-%d %H:%M:%SZ}" for row in rows]
    of_run = "of this run" if len(run_ids) == 1 else "of this run or of one cut off before it"
    return (
        f"{rows[0].records} records differ from another one {of_run} that is of the same coin "
        f"and instant, as of {', '.join(named)}"
    )
