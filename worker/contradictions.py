"""Records of one run that are of one listing and instant, and do not say the same."""

from collections.abc import Collection

from sqlalchemy import Connection

from shared.partitions import Period, span
from worker.statements import read_statements, shared_parts

STATEMENTS = read_statements("contradictions.sql", **shared_parts())

MOST_EXAMPLES = 3
"""Contradictions that a run's error names."""


def find_differing(conn: Connection, run_id: int, periods: Collection[Period]) -> str | None:
    """Say which records of a run contradict each other; `periods` hold all that it observed."""
    asked = {"run_id": run_id, "examples": MOST_EXAMPLES, **span(periods)}
    rows = conn.execute(STATEMENTS["find_differing"], asked).all()
    if not rows:
        return None
    named = [f"{row.external_id!r} at {row.observed_at:%Y-%m-%d %H:%M:%SZ}" for row in rows]
    return (
        f"{rows[0].records} records differ from another one of this run that is of the same coin "
        f"and instant, as of {', '.join(named)}"
    )
