"""Observations of the past, inserted by SQL for the listings that were loaded."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.engine import URL

from shared.schema.raw import RAW
from tests.bench.measure import tell
from tests.fakes.databases import engine_on, make_room

AT_ONCE = 1_000_000
"""Observations of a transaction, about."""

COUNT_LISTINGS = text("""
SELECT count(*) FROM listings WHERE source = :source AND id = coalesce(:listing_id, id)
""")

START_RUN = text("""
INSERT INTO runs (source, command, outcome, started_at, finished_at, host, pid)
VALUES (:source, 'import', 'succeeded', :start, :start, 'bench', 1) RETURNING id
""")

COUNT_IN_RUN = text("""
UPDATE runs SET batches = batches + 1, records_fetched = records_fetched + :rows,
                records_new = records_new + :rows
WHERE id = :run_id
""")

COUNT_IN_CHECKPOINT = text("""
UPDATE checkpoints SET batches = batches + 1, records_fetched = records_fetched + :rows,
                       records_new = records_new + :rows
WHERE source = :source
""")

# Each listing of a source, or one of them, at each of a row of times.
LISTINGS_AT_TIMES = """
FROM listings AS l CROSS JOIN (
  SELECT CAST(:start AS timestamptz) + n * CAST(:every AS interval) AS at
  FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n
) AS t
WHERE l.source = :source AND l.id = coalesce(:listing_id, l.id)
ON CONFLICT DO NOTHING
"""

OBSERVE = text(f"""
INSERT INTO observations (listing_id, observed_at, ingested_at, run_id, payload_hash, price_usd,
                          market_cap_usd, volume_24h_usd, circulating_supply)
SELECT l.id, t.at, t.at, :run_id, substr(sha256('{{}}'), 1, 16), l.price_usd * (1 + random()),
       l.market_cap_usd, l.volume_24h_usd, l.circulating_supply
{LISTINGS_AT_TIMES}""")

RECEIVE = {
    source: text(f"""
INSERT INTO {table} (observed_at, ingested_at, run_id, external_id, payload_hash, payload)
SELECT t.at, t.at, :run_id, l.external_id, substr(sha256('{{}}'), 1, 16), '{{}}'
{LISTINGS_AT_TIMES}""")
    for source, table in RAW.items()
}


@dataclass(frozen=True, slots=True)
class Past:
    """About so many observations of a source, spread over a window and its listings, or one."""

    source: str
    observations: int
    start: datetime
    end: datetime
    listing_id: int | None = None

    def insert(self, url: URL, *, with_raw: bool) -> int:
        """Insert them as one run's, in several transactions; return how many there are now.

        Their raw records have an empty payload: enough for a batch, which asks whether it knows a
        record, and not for `verify` or `reprocess`, which read it again.
        """
        days = range((self.end - self.start).days + 1)
        make_room(url, *(self.start + timedelta(days=day) for day in days), self.end)
        of = {"source": self.source, "listing_id": self.listing_id}
        with engine_on(url) as engine:
            with engine.begin() as conn:
                listings = conn.execute(COUNT_LISTINGS, of).scalar_one()
                run_id = conn.execute(
                    START_RUN, {"source": self.source, "start": self.start}
                ).scalar_one()
            times = max(1, self.observations // listings)
            every = (self.end - self.start) / times
            step = max(1, AT_ONCE // listings)
            rows = 0
            for first in range(0, times, step):
                last = min(first + step, times) - 1
                window = {"start": self.start, "every": every, "first": first, "last": last}
                with engine.begin() as conn:
                    if with_raw:
                        conn.execute(RECEIVE[self.source], {**of, **window, "run_id": run_id})
                    added = conn.execute(OBSERVE, {**of, **window, "run_id": run_id}).rowcount
                    conn.execute(COUNT_IN_RUN, {"rows": added, "run_id": run_id})
                    conn.execute(COUNT_IN_CHECKPOINT, {"rows": added, "source": self.source})
                rows += added
                tell(f"{self.source}: {rows:,} observations of the past")
        return rows
