"""Observations of an asset's listings over a window."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select, select

from api.queries.assets.columns import written
from api.queries.history.scope import CHOSEN, HistoryScope, typed
from api.queries.statements import Statement
from shared.model.records import VALUES

OBSERVATION: dict[str, type] = {
    "source": str,
    "external_id": str,
    **dict.fromkeys(VALUES, Decimal),
    "observed_at": datetime,
    "ingested_at": datetime,
    "superseded_at": datetime,
    "payload_hash": bytes,
    "run_id": int,
}
"""The columns of an observation, with their types."""

# Each listing is read from its position in the key, and only as far as the page may need.
OBSERVATIONS = f"""
WITH {CHOSEN}
SELECT l.source, l.external_id, o.*
FROM chosen AS l CROSS JOIN LATERAL (
  SELECT {", ".join(name for name in OBSERVATION if name not in {"source", "external_id"})}
  FROM observations AS o
  WHERE o.listing_id = l.id AND o.observed_at >= :first AND o.observed_at < :last
    AND o.ingested_at <= l.known_until
    AND (CAST(:after_source AS text) IS NULL
         OR (o.observed_at, l.source, l.external_id, o.payload_hash)
            > (:first, :after_source, :after_external_id, CAST(:after_hash AS bytea)))
  ORDER BY o.observed_at, o.payload_hash LIMIT :most
) AS o
ORDER BY o.observed_at, l.source, l.external_id, o.payload_hash LIMIT :most
"""  # noqa: S608  no external input


@dataclass(frozen=True, slots=True)
class ObservationPosition:
    """The position of an observation in the order by time, listing and hash."""

    observed_at: datetime
    source: str
    external_id: str
    payload_hash: bytes


def find_observations(
    conn: Connection,
    scope: HistoryScope,
    window: tuple[datetime, datetime],
    after: ObservationPosition | None,
    page_size: int,
) -> tuple[list[str], ObservationPosition | None]:
    """Return a page of a window's observations as lines, and its last position if more follow.

    The window is [start, end). The page starts after a position in it, or at its start.
    """
    start, end = window
    parameters = {
        **scope.bind(),
        "first": after.observed_at if after else start,
        "last": end,
        "after_source": after and after.source,
        "after_external_id": after and after.external_id,
        "after_hash": after and after.payload_hash,
        "most": page_size + 1,
    }
    rows = _page(scope.csv, scope.strings).execute(conn, parameters)
    last = rows[page_size - 1] if len(rows) > page_size else None
    end_of_page = ObservationPosition(last[1], last[2], last[3], bytes(last[4])) if last else None
    return [row[0] for row in rows[:page_size]], end_of_page


@lru_cache(maxsize=4)
def _page(csv: bool, strings: bool) -> Statement:
    page = typed(OBSERVATIONS, OBSERVATION).subquery("page")
    line = written(page, [*OBSERVATION], csv=csv, strings=strings, kinds=OBSERVATION)
    key = (page.c.observed_at, page.c.source, page.c.external_id, page.c.payload_hash)
    stmt: Select[Any] = select(line, *key)
    return Statement(stmt.order_by(*key))
