"""Price trends of assets over the last seven days.

An asset's price at an instant is the price that `/data` shows with `as_of` that instant: the same
rule is applied to each listing's newest observation until then. Every listing is looked up once per
instant, so the cost does not depend on its number of observations. Prices are not repeated in gaps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ARRAY, Connection, DateTime, Text, bindparam, text

from api.queries.assets.past import (
    PREVAILS,
    Moment,
    assets_of_listings_then,
    listings_then,
    with_moment,
)
from api.queries.statements import Statement
from shared.model.records import VALUES
from shared.model.unified import CURRENT_FOR, unified_of

STEP = timedelta(hours=4)
POINTS = 42
"""Number of points of a sparkline, one step apart: seven days."""

A_DAY, A_WEEK = timedelta(days=1) // STEP, timedelta(days=7) // STEP
"""Steps from the newest observation back to the earlier prices of the changes."""

TOLERANCE = timedelta(hours=1)
"""Maximum time between the observation of an earlier price and its instant."""

SHOWN = ("id", "slug", "symbol", "name", "price_usd", "price_observed_at", "observed_at")

_WANTED = """wanted AS MATERIALIZED (
  SELECT slug, place FROM unnest(CAST(:slugs AS text[])) WITH ORDINALITY AS w (slug, place)
)"""

_NOW = f"""
SELECT a.* FROM wanted AS w
CROSS JOIN LATERAL (SELECT {", ".join(SHOWN)} FROM assets WHERE slug = w.slug OFFSET 0) AS a
"""  # noqa: S608  nothing in it is from outside

_OF_THE_WANTED = """asset_id IN (
  SELECT a.id FROM wanted AS w
  CROSS JOIN LATERAL (SELECT id FROM assets WHERE slug = w.slug OFFSET 0) AS a
)"""


def _interval(span: timedelta) -> str:
    return f"interval '{span.total_seconds():.0f} seconds'"


# A delisted listing has no current price, so those that were delisted at an instant are left out.
# A price of the step before an instant is current until the longest limit of a source later, so
# listings are looked up that far beyond the step.
_TRENDS = f"""
chosen AS MATERIALIZED (
  SELECT a.id AS asset_id, l.*, coalesce(CAST(:known_at AS timestamptz), 'infinity') AS known_until
  FROM then_assets AS a CROSS JOIN LATERAL (
    SELECT id, source, external_id FROM listings WHERE asset_id = a.id OFFSET 0
  ) AS l
),
spells AS MATERIALIZED (
  SELECT l.id, s.at, s.until
  FROM chosen AS l CROSS JOIN LATERAL (
    SELECT delisted_at AS at, returned_at AS until FROM absences
    WHERE source = l.source AND external_id = l.external_id AND delisted_at IS NOT NULL
    UNION ALL
    SELECT decided_at, revoked_at FROM retirements
    WHERE source = l.source AND external_id = l.external_id
  ) AS s
),
instants AS MATERIALIZED (
  SELECT a.id AS asset_id, s.step, a.id * {A_WEEK + 1}::bigint + s.step AS id,
         a.observed_at - s.step * {_interval(STEP)} AS at
  FROM then_assets AS a CROSS JOIN generate_series(1, {A_WEEK}) AS s (step)
),
at_instants AS MATERIALIZED (
  SELECT i.id AS asset_id, l.id, l.source, l.external_id, '' AS symbol, '' AS name,
         NULL::timestamptz AS delisted_at, o.observed_at,
         {", ".join("o.price_usd" if v == "price_usd" else f"NULL::numeric AS {v}" for v in VALUES)}
  FROM instants AS i JOIN chosen AS l ON l.asset_id = i.asset_id
  CROSS JOIN LATERAL (
    SELECT o.observed_at, o.price_usd FROM observations AS o
    WHERE o.listing_id = l.id AND o.observed_at <= i.at
      AND o.observed_at > i.at - {_interval(STEP + max(CURRENT_FOR.values()))} AND {PREVAILS}
    ORDER BY o.observed_at DESC, o.payload_hash DESC LIMIT 1
  ) AS o
  WHERE NOT EXISTS (
    SELECT FROM spells AS s
    WHERE s.id = l.id AND s.at <= least(i.at, l.known_until)
      AND (s.until IS NULL OR s.until > least(i.at, l.known_until))
  )
),
moved AS (
  SELECT i.asset_id,
         array_agg(CASE WHEN u.price_observed_at > i.at - {_interval(STEP)} THEN u.price_usd END
                   ORDER BY i.step DESC) FILTER (WHERE i.step < {POINTS}) AS earlier,
         max(u.price_usd) FILTER (WHERE i.step = {A_DAY} AND u.price_observed_at
                                        >= i.at - {_interval(TOLERANCE)}) AS a_day_before,
         max(u.price_usd) FILTER (WHERE i.step = {A_WEEK} AND u.price_observed_at
                                        >= i.at - {_interval(TOLERANCE)}) AS a_week_before
  FROM instants AS i LEFT JOIN ({unified_of("at_instants AS l")}) AS u ON u.asset_id = i.id
  GROUP BY i.asset_id
)
SELECT d.version, w.slug AS asked, a.slug, a.symbol, a.name, a.price_usd, a.price_observed_at,
       a.observed_at,
       round((a.price_usd - a_day_before) * 100 / nullif(a_day_before, 0), 6)
         AS change_24h_percent,
       round((a.price_usd - a_week_before) * 100 / nullif(a_week_before, 0), 6)
         AS change_7d_percent,
       m.earlier || a.price_usd AS sparkline_7d
FROM dataset AS d CROSS JOIN wanted AS w
LEFT JOIN then_assets AS a ON a.slug = w.slug LEFT JOIN moved AS m ON m.asset_id = a.id
ORDER BY w.place
"""  # noqa: S608  nothing in it is from outside

_SLUGS = bindparam("slugs", type_=ARRAY(Text))

NOW = Statement(
    text(f"WITH {_WANTED}, then_assets AS MATERIALIZED ({_NOW}), {_TRENDS}").bindparams(
        _SLUGS, bindparam("known_at", type_=DateTime(timezone=True))
    ),
    prepared=True,
)

THEN = Statement(
    with_moment(
        text(
            f"WITH {_WANTED}, {listings_then(_OF_THE_WANTED)},"
            f" then_assets AS MATERIALIZED ({assets_of_listings_then(SHOWN)}), {_TRENDS}"
        )
    ).bindparams(_SLUGS)
)


@dataclass(frozen=True, slots=True)
class Trends:
    """The trends of the existing assets in the requested order, and the missing slugs."""

    assets: Sequence[Mapping[str, Any]]
    missing: Sequence[str]
    """Slugs that no asset has, or whose asset was not observed by the moment."""
    version: int
    """The version of the data."""


def find_trends(conn: Connection, slugs: Sequence[str], moment: Moment | None = None) -> Trends:
    """Return prices, changes and sparklines of assets, now or as of a moment.

    Slugs must be distinct. A change is in percent; it is null if no price was observed within
    `TOLERANCE` before its instant, or if that price is 0. A point of a sparkline is null if no
    price was observed in its step. The last point belongs to the asset's newest observation.
    """
    parameters: dict[str, Any] = {"slugs": [*slugs], "known_at": None}
    stmt = NOW
    if moment is not None:
        stmt, parameters = THEN, {**parameters, **moment.bind()}
    rows = stmt.run(conn, parameters).mappings().all()
    return Trends(
        [{**row} for row in rows if row["slug"] is not None],
        [row["asked"] for row in rows if row["slug"] is None],
        rows[0]["version"],
    )
