"""Find records of one pass with the same listing and instant but different values."""

from collections.abc import Collection

from sqlalchemy import Connection

from worker.database.periods import Period, span
from worker.database.statements import read_statements, shared_parts

STATEMENTS = read_statements(__file__, "contradictions.sql", **shared_parts())

MOST_EXAMPLES = 3
"""Number of contradictions that a run's error names."""


def find_differing(
    conn: Connection, run_ids: Collection[int], periods: Collection[Period] = ()
) -> str | None:
    """Describe the contradicting records of these runs; None if there are none.

    Several runs are one pass that was interrupted and resumed. `periods` must cover all
    observations of the runs.
    """
    parameters = {"run_ids": sorted(run_ids), "examples": MOST_EXAMPLES, **span(periods)}
    rows = conn.execute(STATEMENTS["find_differing"], parameters).all()
    if not rows:
        return None
    examples = [f"{row.external_id!r} at {row.observed_at:%Y-%m-%d %H:%M:%SZ}" for row in rows]
    of_run = "of this run" if len(run_ids) == 1 else "of this run or of interrupted runs before it"
    return (
        f"{rows[0].records} records differ from another record {of_run} with the same coin and "
        f"instant, such as {', '.join(examples)}"
    )
