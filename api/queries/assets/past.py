"""The assets as of a past time, computed from the observations until then.

Nothing is stored for it. Each listing's newest observation until then is looked up, and the
observations are unified by the worker's rule. So late data and moved listings are correct at once.
The cost does not grow with the history: 20 000 listings took about 0.2 s with 4 million
observations. Alternatives: a table of daily states would store everything twice; reading a slice
of time would need an index by time.
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
"""The window that is searched first. It has nearly every listing, and covers few partitions."""

EARLY = timedelta(days=1)
"""How far a record's observation time may be after its load time; the worker refuses more. So
observations more than this after `known_at` need not be read."""

SEEN = "(SELECT jsonb_object_agg(source, updated_at) FROM checkpoints)"
"""The load time of each source's last batch. Batches of a source are sequential, so the records
loaded until then are complete and never increase. The time of the first page would not do: a batch
in progress would appear between two pages."""

OBSERVED = ("observed_at", "payload_hash", "run_id", "ingested_at", *VALUES)

KNOWN_UNTIL = """least(
  coalesce(CAST(:known_at AS timestamptz), 'infinity'),
  CASE WHEN CAST(:seen AS jsonb) IS NULL THEN 'infinity'
       ELSE coalesce((CAST(:seen AS jsonb) ->> source)::timestamptz, '-infinity') END
)"""
"""The latest load time of visible observations of a listing, computed once per listing."""

PREVAILS = """(
  o.ingested_at <= l.known_until
  AND (o.superseded_at IS NULL OR o.superseded_at > l.known_until)
  AND (o.superseded_before IS NULL OR NOT o.superseded_before @> l.known_until)
)"""
"""Whether observation `o` of listing `l` was the last one received for its instant by then."""

_NEWEST = f"""
SELECT {{observed}} FROM observations AS o
WHERE o.listing_id = l.id AND {{window}} AND {PREVAILS}
ORDER BY o.observed_at DESC, o.payload_hash DESC LIMIT 1
"""  # noqa: S608  no external input

# A listing has its last name until then, by its source's clock. It has its present name if the
# observation is the present one, or if no name is known for that time.
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

# An asset is found by every name that it ever had, including the present ones.
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
    """A past time, and the latest load time of the observations; None for no limit."""

    as_of: datetime
    known_at: datetime | None = None

    def bind(self, seen: str | None = None) -> dict[str, Any]:
        """Return the values for the parameters of this module's statements.

        `seen` is the value of `SEEN` at a walk's first page, which limits its other pages.
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
        """Return it as JSON values; equal moments give equal values."""
        return {
            "as_of": self.as_of.timestamp(),
            "known_at": self.known_at and self.known_at.timestamp(),
        }


def shifted(moment: datetime, by: timedelta) -> datetime:
    """Add to a time; return it unchanged if the result exceeds the calendar."""
    try:
        return moment + by
    except OverflowError:
        return moment


def listings_then(which: str) -> str:
    """Write CTEs; the last one, `listings_then`, has the selected listings as of the moment."""
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
    """Write the query for these columns of the assets of `listings_then`."""
    columns = ", ".join(_OF_THE_ASSET.get(name, f"u.{name}") for name in read)
    return _ASSETS_THEN.format(unified=unified_of("listings_then AS l"), columns=columns)


def assets_then(read: tuple[str, ...]) -> CTE:
    """Select these columns of all assets as of a moment; `Moment.bind` has its parameters."""
    stmt = text(f"WITH {listings_then(ALL)} {assets_of_listings_then(read)}")
    typed = [column(name, assets.c[name].type) for name in read]
    return with_moment(stmt).columns(*typed).cte("past")


def with_moment(stmt: TextClause) -> TextClause:
    """Declare the types of the parameters of `Moment.bind`."""
    names = ("as_of", "lately", "known_at")
    times = [bindparam(name, type_=DateTime(timezone=True)) for name in names]
    return stmt.bindparams(*times)
