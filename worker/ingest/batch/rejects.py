"""Dismiss refused records, and limit how many payloads of them are stored."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, Connection, func, select, update

from shared.model.runs import JUDGED, TOO_MANY_REJECTS
from shared.schema.operations import KIND_OF_REASON, has_reason, has_state, rejects
from worker.database.statements import read_statements

STATEMENTS = read_statements(__file__, "rejects.sql", kind=KIND_OF_REASON)

MOST_STORED = 100
"""Open payloads stored of a source with too many rejects. More are not needed: it is read again."""

MOST_REASONS = 20
"""Number of reasons by which dropped payloads are counted; other reasons are counted together."""


def drop_excess(conn: Connection, source: str, run_id: int) -> int:
    """Drop payloads that were refused by a run and by the interrupted runs that it continues.

    `MOST_STORED` open payloads remain, including those of earlier runs with too many rejects.
    Returns the number of dropped records; the row of the run has it too.
    """
    parameters = {
        "source": source,
        "run_id": run_id,
        "most": MOST_STORED,
        "named": MOST_REASONS,
        "judged": list(JUDGED),
        "refused": TOO_MANY_REJECTS,
    }
    return int(conn.scalar(STATEMENTS["drop_excess"], parameters) or 0)


@dataclass(frozen=True, slots=True)
class OpenRejects:
    """A query for open rejects that meet all conditions. `reason` is a part of a reason."""

    ids: Sequence[int] = ()
    source: str | None = None
    reason: str | None = None

    def of(self, source: str) -> "OpenRejects":
        """Limit the query to one source."""
        return replace(self, source=source)

    def conditions(self) -> list[ColumnElement[bool]]:
        conditions = [has_state("open")]
        if self.ids:
            conditions.append(rejects.c.id.in_(self.ids))
        if self.source:
            conditions.append(rejects.c.source == self.source)
        if self.reason:
            conditions.append(has_reason(self.reason))
        return conditions


def count_rejects(conn: Connection, query: OpenRejects) -> int:
    stmt = select(func.count()).select_from(rejects).where(*query.conditions())
    return int(conn.scalar(stmt) or 0)


def dismiss(conn: Connection, query: OpenRejects, reason: str, by: str) -> int:
    """Close open rejects with a reason, and return their number.

    They stay closed when the same payload is received again. The payload remains stored.
    """
    stmt = update(rejects).where(*query.conditions())
    closed = {"resolved_at": func.now(), "dismissed_by": by, "dismissed_reason": reason}
    return conn.execute(stmt.values(closed)).rowcount
