"""Read the named statements of SQL files."""

import re
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import TextClause, text

from shared.model.records import VALUES
from shared.model.unified import unified_columns, unified_of
from shared.schema.raw import EVERY_RAW
from worker.database.prepared import reusable

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_COMMENT = re.compile(r"--.*")
_QUERY = re.compile(r"\s*(WITH|SELECT|INSERT|UPDATE|DELETE)\b")


# `OFFSET 0` forces an index lookup for the listings of each asset. Postgres cannot estimate how
# many assets a batch touches, and would read and sort all listings.
LISTINGS_OF_TOUCHED = """touched CROSS JOIN LATERAL (
    SELECT * FROM listings WHERE asset_id = touched.asset_id OFFSET 0
  ) AS l"""


# Whether the missing raw record of an observation `o` of a listing `l` was pruned.
OBSERVATION_IS_PRUNED = """EXISTS (
    SELECT FROM pruned_partitions AS p
    WHERE p.source = l.source AND o.ingested_at <= p.pruned_at
      AND o.observed_at >= p.observed_from AND o.observed_at < p.observed_until
  )"""


# `OFFSET 0` forces a lookup by key, whatever number of listings Postgres estimates for the block.
LISTINGS_OF_BLOCK = """block AS b CROSS JOIN LATERAL (
    SELECT * FROM listings WHERE id = b.listing_id OFFSET 0
  ) AS l"""


# Since when each listing is delisted: by whole snapshots or by a person, whichever is earlier.
DELISTED_SINCE = """
  SELECT l.id, l.source, l.external_id, least(a.delisted_at, r.decided_at) AS delisted_at
  FROM listings AS l
  LEFT JOIN absences AS a ON a.source = l.source AND a.external_id = l.external_id
                         AND a.returned_at IS NULL
  LEFT JOIN (
    SELECT source, external_id, min(decided_at) AS decided_at FROM retirements
    WHERE revoked_at IS NULL GROUP BY source, external_id
  ) AS r ON r.source = l.source AND r.external_id = l.external_id
"""

# The values of a listing `o` after a batch; `m` is the listing in the batch, if the batch has it.
COMPARED_BESIDE_BATCH = ", ".join(
    f"CASE WHEN m.listing_id IS NULL THEN o.{name} ELSE m.{name} END AS {name}"
    for name in ("observed_at", *VALUES)
)


# Whether a record of `newest` has a new id, but the symbol and name of a listing of its source from
# before this run. The start of the run is looked up once, not for each record.
REPLACES_KNOWN = """n.is_new AND EXISTS (
    SELECT FROM listings AS l
    WHERE l.name_key = n.name_key AND l.symbol_key = n.symbol_key AND l.source = :source
      AND l.created_at < (SELECT started_at FROM runs WHERE id = :run_id)
  )"""


MOST_TIMES = 200
"""The number of stored periods during which a record was superseded: the newest ones, about 2 KB.

A source that alternates between two values of one instant adds a period with each pass. All of them
are read and written by the next pass, so without a limit each pass would take longer than the last.
"""


def read_statements(module: str, file: str, **parts: str) -> dict[str, TextClause]:
    """Read the named statements of a `.sql` file in the folder of `module`, a `__file__`.

    `{part}` in the file is replaced by the part of that name: a list of columns, or the name of a
    table from `shared/schema`. Values must be bound parameters.
    """
    texts = _read_texts(Path(module).with_name(file))
    return {name: text(body.format(**parts)) for name, body in texts.items()}


def read_reusable(module: str, file: str, **parts: str) -> dict[str, TextClause]:
    """Read statements that a session executes often; those that are single queries are prepared."""
    statements = read_statements(module, file, **parts)
    return {
        name: reusable(stmt) if _is_query(stmt.text) else stmt for name, stmt in statements.items()
    }


def source_parts(source: str) -> dict[str, str]:
    """Return the parts for the statements of one source: its raw table, and `shared_parts`."""
    return {"raw": EVERY_RAW[source].name, **shared_parts()}


def shared_parts() -> dict[str, str]:
    """Return the parts for all statements: lists of columns, and shared expressions."""
    unified = [name for value in VALUES for name in unified_columns(value)]
    unified += ["observed_at", "source_count", "sources", "price_spread_percent", "divergent"]
    unified += ["active", "delisted_at"]
    return {
        "values": ", ".join(VALUES),
        "typed_values": ", ".join(f"{value} numeric" for value in VALUES),
        **{f"{table}_values": _columns(table, VALUES) for table in ("f", "l", "n", "o")},
        "excluded_values": _columns("excluded", VALUES),
        "set_excluded": ", ".join(f"{value} = excluded.{value}" for value in VALUES),
        "set_values": ", ".join(f"{value} = n.{value}" for value in VALUES),
        "set_unified": ", ".join(f"{column} = u.{column}" for column in unified),
        "o_is_pruned": OBSERVATION_IS_PRUNED,
        "replaces_known": REPLACES_KNOWN,
        "delisted_since": DELISTED_SINCE,
        "raw_received": _received("r", "w"),
        "observations_received": _received("o", "f"),
        "a_columns": _columns("a", VALUES),
        "a_listing_ids": ", ".join(f"a.{value}_listing_id" for value in VALUES),
        "a_unified": _columns("a", unified),
        "u_unified": _columns("u", unified),
        "listings_of_block": LISTINGS_OF_BLOCK,
        "unified_of_all": unified_of("listings AS l"),
        "unified_of_touched": unified_of(LISTINGS_OF_TOUCHED),
    }


def _received(old: str, new: str) -> str:
    """Return the SET clause of an UPDATE of all records of an instant, after one was received.

    The received record prevails, also if it was stored before; see `superseded_before`.
    """
    is_received = f"{old}.payload_hash = {new}.payload_hash"
    away = f"tstzrange({old}.superseded_at, greatest({old}.superseded_at, now()))"
    before = f"coalesce({old}.superseded_before, '{{}}') + tstzmultirange({away})"
    older = f"(SELECT count(*) FROM unnest({before})) - {MOST_TIMES}"  # noqa: S608  ours alone
    # `unnest` returns the periods in order; sorting them would take ten times as long.
    newest = f"SELECT away FROM unnest({before}) AS away OFFSET greatest({older}, 0)"  # noqa: S608
    bounded = f"SELECT coalesce(range_agg(away), '{{}}') FROM ({newest}) AS newest"  # noqa: S608
    return f"""superseded_at = CASE WHEN {is_received} THEN NULL ELSE now() END,
      superseded_before = CASE WHEN {is_received} THEN ({bounded})
                               ELSE {old}.superseded_before END"""


def _is_query(statement: str) -> bool:
    bare = _COMMENT.sub("", statement)
    return ";" not in bare and _QUERY.match(bare) is not None


def _columns(table: str, names: Sequence[str]) -> str:
    return ", ".join(f"{table}.{name}" for name in names)


def _read_texts(file: Path) -> dict[str, str]:
    _, *pieces = _NAME.split(file.read_text(encoding="utf-8"))
    return {name: body.strip() for name, body in zip(pieces[::2], pieces[1::2], strict=True)}
