"""The assets as they were at a time, worked out from what was observed by then.

Nothing is kept of them: for each listing its newest observation by then is looked up, and what was
found is unified as the worker does it with the newest of all. So late data and moved listings are
right at once, and the cost does not grow with the history: 20 000 listings took about 0.2 s with 4
million observations. A table of daily states would store everything twice; reading the slice before
a time would need an index by time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    CTE,
    DateTime,
    TextClause,
    bindparam,
    column,
    text,
)

from shared.model.records import VALUES
from shared.model.unified import unified_of
from shared.schema.market import assets

LATELY = timedelta(days=1)
"""How far back is looked first: nearly every listing was observed, and few partitions are read."""

EARLY = timedelta(days=1)
"""How much earlier than observed, by the source's clock, a record may have come in: the worker
refuses more. What was not known by a time is so not read through, however much it is."""

SEEN = "(SELECT jsonb_object_agg(source, updated_at) FROM checkpoints)"
"""When each source's last batch came in. Its batches follow one another, so what came in by then is
all that there was to see at that moment, and never gets more. By the time of the first page, a
batch under way then would show up between two pages."""

OBSERVED = ("observed_at", "payload_hash", "run_id", "ingested_at", *VALUES)

KNOWN_UNTIL = """least(
  coalesce(CAST(:known_at AS timestamptz), 'infinity'),
  CASE WHEN CAST(:seen AS jsonb) IS NULL THEN 'infinity'
       ELSE coalesce((CAST(:seen AS jsonb) ->> source)::timestamptz, '-infinity') END
)"""
"""Until when what came in of a listing is to be seen: worked out once a listing, not a row."""

PREVAILS = """(
  o.ingested_at <= l.known_until
  AND (o.superseded_at IS NULL OR o.superseded_at > l.known_until)
  AND (o.superseded_before IS NULL OR NOT o.superseded_before @> l.known_until)
)"""
"""Whether an observation `o` of a listing `l` was the last received of its instant by then."""

_NEWEST = f"""
SELECT {{observed}} FROM observations AS o
WHERE o.listing_id = l.id AND {{window}} AND {PREVAILS}
ORDER BY o.observed_at DESC, o.payload_hash DESC LIMIT 1
"""  # noqa: S608  nothing in it is from outside

# A listing is called what it was called last, by its source's clock; as it is now where what is
# found is its present observation, or its names are not known that far back.
_LISTINGS_THEN = """
lately AS MATERIALIZED (
  SELECT l.id, l.asset_id, l.source, l.external_id, l.symbol, l.name,
         l.match_method, l.match_score, l.match_evidence, l.known_until,
         l.observed_at AS present_at, l.payload_hash AS present_hash, o.*
  FROM (SELECT *, {known_until} AS known_until FROM listings WHERE {which} OFFSET 0) AS l
  LEFT JOIN LATERAL ({lately}) AS o ON true
),
observed_then AS (
  SELECT * FROM lately WHERE observed_at IS NOT NULL
  UNION ALL
  SELECT l.id, l.asset_id, l.source, l.external_id, l.symbol, l.name,
         l.match_method, l.match_score, l.match_evidence, l.known_until,
         l.present_at, l.present_hash, o.*
  FROM lately AS l CROSS JOIN LATERAL ({before}) AS o
  WHERE l.observed_at IS NULL
),
delisted_then AS MATERIALIZED (
  SELECT source, external_id, min(at) AS delisted_at
  FROM (
    SELECT source, external_id, delisted_at AS at, returned_at AS until FROM absences
    UNION ALL
    SELECT source, external_id, decided_at, revoked_at FROM retirements
  ) AS spells
  WHERE at <= least(:as_of, :known_at)
    AND (until IS NULL OR until > least(:as_of, :known_at))
  GROUP BY source, external_id
),
listings_then AS MATERIALIZED (
  SELECT l.id, l.asset_id, l.source, l.external_id,
         CASE WHEN {is_present} THEN l.symbol ELSE coalesce(n.symbol, l.symbol) END AS symbol,
         CASE WHEN {is_present} THEN l.name ELSE coalesce(n.name, l.name) END AS name,
         l.match_method, l.match_score, l.match_evidence, d.delisted_at, {l_observed}
  FROM observed_then AS l
  LEFT JOIN delisted_then AS d ON d.source = l.source AND d.external_id = l.external_id
  LEFT JOIN (
    SELECT DISTINCT ON (listing_id) listing_id, symbol, name FROM listing_names
    WHERE listing_id IN (SELECT id FROM observed_then) AND first_observed_at <= :as_of
    ORDER BY listing_id, first_observed_at DESC, symbol, name
  ) AS n ON n.listing_id = l.id
)
"""

_ASSETS_THEN = """
SELECT {columns}
FROM ({unified}) AS u JOIN assets AS a ON a.id = u.asset_id
JOIN (
  SELECT asset_id, max(ingested_at) AS at FROM listings_then GROUP BY asset_id
) AS came_in ON came_in.asset_id = a.id
"""

# An asset is found under every name that it ever had, the present ones too.
_OF_THE_ASSET = {
    "id": "a.id",
    "slug": "a.slug",
    "version": "NULL::bigint AS version",
    "created_at": "a.created_at",
    "updated_at": "came_in.at AS updated_at",
    "search_text": "lower(u.name) || chr(10) || lower(u.symbol) || chr(10) || a.search_text"
    " AS search_text",
}

ALL = "true"
OF_ONE_ASSET = "asset_id = (SELECT id FROM assets WHERE slug = :slug)"


@dataclass(frozen=True, slots=True)
class Moment:
    """A time, and by when what was observed by then must have been known; None is by now."""

    as_of: datetime
    known_at: datetime | None = None

    def bind(self, seen: str | None = None) -> dict[str, Any]:
        """Give the values of the parameters that the statements here leave open.

        `seen` is what a walk's first page saw, as `SEEN` says it; its other pages see no more.
        """
        as_of = self.as_of
        if self.known_at is not None:
            as_of = min(as_of, shifted(self.known_at, EARLY))
        return {
            "as_of": as_of,
            "lately": shifted(as_of, -LATELY),
            "known_at": self.known_at,
            "seen": seen,
        }

    def dump(self) -> Mapping[str, Any]:
        """Show it in JSON's terms, equal where it is the same."""
        return {
            "as_of": self.as_of.timestamp(),
            "known_at": self.known_at and self.known_at.timestamp(),
        }


def shifted(moment: datetime, by: timedelta) -> datetime:
    """Add to a time, as far as the calendar goes."""
    try:
        return moment + by
    except OverflowError:
        return moment


def listings_then(which: str) -> str:
    """Write CTEs of which the last, `listings_then`, has the chosen listings as they were."""
    observed = ", ".join(f"o.{name}" for name in OBSERVED)
    lately = _NEWEST.format(
        observed=observed,
        window="o.observed_at <= :as_of AND o.observed_at > :lately",
    )
    before = _NEWEST.format(observed=observed, window="o.observed_at <= :lately")
    return _LISTINGS_THEN.format(
        lately=lately,
        before=before,
        which=which,
        known_until=KNOWN_UNTIL,
        is_present="(l.observed_at, l.payload_hash) = (l.present_at, l.present_hash)",
        l_observed=", ".join(f"l.{name}" for name in OBSERVED),
    )


def assets_of_listings_then(read: tuple[str, ...]) -> str:
    """Write the query for those columns of the assets whose listings `listings_then` has."""
    columns = ", ".join(_OF_THE_ASSET.get(name, f"u.{name}") for name in read)
    return _ASSETS_THEN.format(unified=unified_of("listings_then AS l"), columns=columns)


def assets_then(read: tuple[str, ...]) -> CTE:
    """Select those columns of all assets as they were; its parameters `Moment.bind` gives."""
    stmt = text(f"WITH {listings_then(ALL)} {assets_of_listings_then(read)}")
    typed = [column(name, assets.c[name].type) for name in read]
    return with_moment(stmt).columns(*typed).cte("past")


def with_moment(stmt: TextClause) -> TextClause:
    """Declare the parameters that `Moment.bind` gives."""
    names = ("as_of", "lately", "known_at")
    times = [bindparam(name, type_=DateTime(timezone=True)) for name in names]
    return stmt.bindparams(*times)
