"""The sample data that ships with the project, shown until a provider has been read.

The data is from 2021 and must not be mixed with live data. The first successful run of a provider
therefore retires the sample's listings, as `worker listings retire` would; their history stays.
A listing belongs to the sample if its newest record does.
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
from worker.curation.recording import Attribution
from worker.curation.retirements import retire, revoke
from worker.database.locks import lock_identity
from worker.sources.csv import CsvFiles

ATTRIBUTION = Attribution(
    by="worker run", reason="sample data of 2021; a provider has been read since"
)
"""Stored in the database and compared with stored values, so these texts must not change."""

# A listing whose retirement a person revoked is not retired again. Its events have the person.
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
class SampleChanges:
    """The number of listings that were retired, and of those whose retirement was revoked."""

    retired: int = 0
    returned: int = 0


def is_over(conn: Connection) -> bool:
    """Whether a run of a provider has ever succeeded; imports do not count."""
    r = runs.c
    live = (r.source.in_(LIVE_SOURCES), r.command == "run", r.outcome == "succeeded")
    return bool(conn.scalar(select(exists().where(*live))))


def update_retirements(conn: Connection, *, is_chosen: bool) -> SampleChanges:
    """Retire the sample's listings or revoke that, as needed; a second call changes nothing.

    With `is_chosen` the configuration names the sample, and nothing is retired. The identity lock
    is taken only if something must change; the changes are then determined again under the lock.
    """
    if not _plan(conn, is_chosen=is_chosen).has_changes:
        return SampleChanges()
    lock_identity(conn)
    plan = _plan(conn, is_chosen=is_chosen)
    returned = 0
    if plan.revoked:
        returned = revoke(conn, [retirements.c.id.in_(plan.revoked)], ATTRIBUTION).listings
    if plan.retired:
        retire(conn, [("csv", external_id) for external_id in plan.retired], ATTRIBUTION)
    return SampleChanges(len(plan.retired), returned)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Listings to retire, and the ids of retirements to revoke."""

    retired: Sequence[str]
    revoked: Sequence[int]

    @property
    def has_changes(self) -> bool:
        return bool(self.retired or self.revoked)


def _plan(conn: Connection, *, is_chosen: bool) -> _Plan:
    """Determine the changes; retirements by a person are never revoked."""
    external_ids, times = _read_sample()
    parameters = {"external_ids": external_ids, "times": times, **asdict(ATTRIBUTION)}
    listed = conn.execute(FIND_LISTINGS, parameters).all()
    obsolete = [] if is_chosen or not is_over(conn) else listed
    r = retirements.c
    own = (r.source == "csv", r.decided_by == ATTRIBUTION.by, r.reason == ATTRIBUTION.reason)
    keep = [row.external_id for row in obsolete]
    stale = select(r.id).where(*own, r.revoked_at.is_(None), r.external_id.not_in(keep))
    return _Plan([row.external_id for row in obsolete if row.is_new], conn.scalars(stale).all())


@lru_cache(maxsize=1)
def _read_sample() -> tuple[Sequence[str], Sequence[datetime]]:
    """Return the external ids and times of the sample's records; empty if it is not installed."""
    if not SAMPLE_CSV.exists():
        return [], []
    source = CsvFiles(path=str(SAMPLE_CSV), rows_per_page=1000)
    observations = [
        source.observe(record.document or {})
        for page in source.saved_pages(SAMPLE_CSV)
        for record in page.records
    ]
    return [each.external_id for each in observations], [each.observed_at for each in observations]
