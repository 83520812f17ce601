"""Refused records that are closed without being read: dismissed by a person, or not kept at all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, Connection, func, select, update

from shared.model.runs import TOO_MANY_REJECTS, WEIGHED
from shared.schema.operations import has_reason, has_state, rejects
from worker.database.statements import read_statements

KIND_OF_REASON = r"""left(regexp_replace(regexp_replace(regexp_replace(
  reason, '''[^'']*''|"[^"]*"', '…', 'g'), '\m\d+\M(?!\))', '#', 'g'),
  '^([^:]*: [^:]*):.*$', '\1'), 200)"""
"""SQL: the kind of a `reason`, without the values in it; the column stays.

What is quoted, whole numbers, and all from the second colon on are values.
"""

STATEMENTS = read_statements(__file__, "rejects.sql", kind=KIND_OF_REASON)

KEPT = 100
"""Open payloads that are kept for a source whose runs have too many rejects: it is read again."""

NAMED = 20
"""How many reasons the payloads that are not kept are counted by; the others count together."""


def drop_excess(conn: Connection, source: str, run_id: int) -> int:
    """Drop payloads of a run, and of those that it went on from, and count them.

    With those of earlier refused runs that are still open, `KEPT` stay. Returns how many records
    were dropped; they are noted at the run's row.
    """
    asked = {"source": source, "run_id": run_id, "kept": KEPT, "named": NAMED}
    reasons = {"weighed": list(WEIGHED), "refused": TOO_MANY_REJECTS}
    return int(conn.scalar(STATEMENTS["drop_excess"], {**asked, **reasons}) or 0)


@dataclass(frozen=True, slots=True)
class OpenRejects:
    """Open rejects, all or those that meet every condition. `reason` is a part of a reason."""

    ids: Sequence[int] = ()
    source: str | None = None
    reason: str | None = None

    def of(self, source: str) -> "OpenRejects":
        """Narrow them to one source's."""
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


def count_rejects(conn: Connection, chosen: OpenRejects) -> int:
    stmt = select(func.count()).select_from(rejects).where(*chosen.conditions())
    return int(conn.scalar(stmt) or 0)


def dismiss(conn: Connection, chosen: OpenRejects, reason: str, by: str) -> int:
    """Close open rejects with a reason, and return how many.

    They stay closed when the same payload comes again; the payload stays as it is.
    """
    stmt = update(rejects).where(*chosen.conditions())
    closed = {"resolved_at": func.now(), "dismissed_by": by, "dismissed_reason": reason}
    return conn.execute(stmt.values(closed)).rowcount
