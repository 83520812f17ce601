"""The sample that ships with the project: what the loop shows until a provider has been read.

Its data is of 2021, and must not stand beside live data. So its listings are retired once a
provider's run has succeeded, as `worker listings retire` would; their history stays. A listing of
the sample is one whose newest record is the sample's: one for which another file said more is not.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache

from sqlalchemy import ARRAY, Connection, DateTime, Text, bindparam, exists, select, text

from shared.environment import SAMPLE_CSV
from shared.model.catalogue import LIVE_SOURCES
from shared.schema.market import retirements
from shared.schema.operations import runs
from worker.curation.recording import Signed
from worker.curation.retirements import retire, revoke
from worker.database.locks import lock_identity
from worker.sources.csv import CsvFiles

SIGNED = Signed(by="worker run", reason="sample data of 2021; a provider has been read since")

# A listing whose retirement a person revoked is left alone. Who revoked it, its events say.
FIND_LISTINGS = text("""
SELECT l.external_id, l.delisted_at IS NULL AND NOT EXISTS (
         SELECT FROM retirements AS r
         WHERE r.source = l.source AND r.external_id = l.external_id
           AND r.decided_by = :by AND r.reason = :reason
           AND (r.revoked_at IS NULL OR NOT EXISTS (
             SELECT FROM identity_events AS e
             WHERE e.listing_id = l.id AND e.at = r.revoked_at
               AND e.evidence ->> 'decision' = 'undo' AND e.decided_by = :by AND e.reason = :reason
           ))
       ) AS is_new
FROM listings AS l
JOIN unnest(:external_ids, :times) AS s (external_id, observed_at)
  ON s.external_id = l.external_id AND s.observed_at = l.observed_at
WHERE l.source = 'csv'
ORDER BY l.external_id
""").bindparams(
    bindparam("external_ids", type_=ARRAY(Text)),
    bindparam("times", type_=ARRAY(DateTime(timezone=True))),
)


@dataclass(frozen=True, slots=True)
class Settled:
    """How many listings were retired, and how many came back."""

    retired: int = 0
    returned: int = 0


def is_over(conn: Connection) -> bool:
    """Whether a provider's own run has ever succeeded; an import says nothing of that."""
    r = runs.c
    live = (r.source.in_(LIVE_SOURCES), r.command == "run", r.outcome == "succeeded")
    return bool(conn.scalar(select(exists().where(*live))))


def settle(conn: Connection, *, is_chosen: bool) -> Settled:
    """Bring the retirement of the sample's listings up to date; a second call changes nothing.

    With `is_chosen` a person has the sample read, and none of it is retired. Only where something
    is to change, the identity lock is taken; what to change is then read again under it.
    """
    if not _plan(conn, is_chosen=is_chosen).is_due:
        return Settled()
    lock_identity(conn)
    plan = _plan(conn, is_chosen=is_chosen)
    returned = 0
    if plan.revoked:
        returned = revoke(conn, [retirements.c.id.in_(plan.revoked)], SIGNED).listings
    if plan.retired:
        retire(conn, [("csv", external_id) for external_id in plan.retired], SIGNED)
    return Settled(len(plan.retired), returned)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Listings to retire, and the ids of retirements to revoke."""

    retired: Sequence[str]
    revoked: Sequence[int]

    @property
    def is_due(self) -> bool:
        return bool(self.retired or self.revoked)


def _plan(conn: Connection, *, is_chosen: bool) -> _Plan:
    """Find what has to change; retirements that a person made stay as they are."""
    external_ids, times = _read_sample()
    sought = {"external_ids": external_ids, "times": times}
    found = conn.execute(FIND_LISTINGS, {**sought, **asdict(SIGNED)}).all()
    over = [] if is_chosen or not is_over(conn) else found
    r = retirements.c
    own = (r.source == "csv", r.decided_by == SIGNED.by, r.reason == SIGNED.reason)
    keep = [row.external_id for row in over]
    stale = select(r.id).where(*own, r.revoked_at.is_(None), r.external_id.not_in(keep))
    return _Plan([row.external_id for row in over if row.is_new], conn.scalars(stale).all())


@lru_cache(maxsize=1)
def _read_sample() -> tuple[Sequence[str], Sequence[datetime]]:
    """Read which listings the sample has, each with its instant; none where it is not installed."""
    if not SAMPLE_CSV.exists():
        return [], []
    source = CsvFiles(path=str(SAMPLE_CSV), rows_per_page=1000)
    said = [
        source.observe(record.document or {})
        for page in source.saved_pages(SAMPLE_CSV)
        for record in page.records
    ]
    return [each.external_id for each in said], [each.observed_at for each in said]
