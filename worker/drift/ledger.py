"""The drift ledger: the shapes of a source's records, and how they differ.

Each batch counts the shapes of its records in its own transaction. A completed run compares the
stored counts in the transaction that closes it, so counts of killed runs are included.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

import structlog
from sqlalchemy import Connection, Row, TextClause, column, func, select, update

from shared.model.runs import JUDGED
from shared.schema.operations import drift, shapes
from shared.schema.raw import EVERY_RAW, RAW_LISTS
from worker.database.statements import read_reusable, source_parts
from worker.drift.differences import (
    APPEARED,
    FEWEST_RECORDS,
    RENAMED,
    VANISHED,
    ComparedRun,
    Difference,
    TypeCount,
    compare,
    expected_paths,
)
from worker.drift.renamed import Values, find_renamed
from worker.drift.shapes import Shape, ShapeCounter
from worker.sources.base import Policy, Source
from worker.sources.json.records import decode


def _read_statements(source: str) -> dict[str, TextClause]:
    # Several records of one instant: of a list of contracts the newest counts, of a market the one
    # that was not superseded.
    prevailing = "ingested_at DESC" if source in RAW_LISTS else "superseded_at DESC NULLS FIRST"
    return read_reusable(
        __file__,
        "drift.sql",
        **source_parts(source),
        received_last_first=f"{prevailing}, payload_hash",
    )


STATEMENTS = {source: _read_statements(source) for source in EVERY_RAW}

COMPARED_LISTINGS = 20
"""Number of listings whose values are compared to detect a renamed path."""

MOST_FAMILIES = 500
"""Number of stored families of a source; those seen last stay."""

log = structlog.get_logger(__name__)


def shape_counters(conn: Connection, source: Source) -> Callable[[str], ShapeCounter]:
    """Return a function that returns the shape counter of a family, the same on each call."""
    stmt = select(shapes.c.family, shapes.c.path).where(shapes.c.source == source.name).distinct()
    paths: dict[str, list[str]] = defaultdict(list)
    for family, path in conn.execute(stmt):
        paths[family].append(path)

    @cache
    def counter(family: str) -> ShapeCounter:
        return ShapeCounter(paths[family], empty_is_null=source.empty_is_null, family=family)

    return counter


def count_shapes(conn: Connection, source: str, run_id: int, batch: Sequence[Shape]) -> None:
    """Add a batch's shapes, all of one family, to the stored counts in one statement."""
    if not batch:
        return
    conn.execute(
        STATEMENTS[source]["count_shapes"],
        {
            "source": source,
            "run_id": run_id,
            "family": batch[0].family,
            "records": sum(shape.records for shape in batch if not shape.path),
            "shapes": json.dumps([asdict(shape) for shape in batch]),
        },
    )


@dataclass(frozen=True, slots=True)
class OpenDrift:
    """Differences of a run that are not acknowledged, by their consequence."""

    warn: Sequence[Difference] = ()
    fail: Sequence[Difference] = ()


def compare_run(
    conn: Connection, source: Source, run_id: int, *, is_import: bool, saw_half: bool
) -> OpenDrift:
    """Compare a completed run, and update the ledger.

    A run that did not see most of the source (it resumed a snapshot, or pages were not modified)
    cannot judge absence. An import judges absence only while the source has no runs of its own.
    """
    statements = STATEMENTS[source.name]
    rows = conn.execute(statements["read_drift"], {"source": source.name}).all()
    families = conn.scalars(
        statements["read_families"], {"source": source.name, "run_id": run_id}
    ).all()
    differences: list[Difference] = []
    for family in families:
        prefix = _path_prefix(family)
        ledger = {
            (row.path.removeprefix(prefix), row.kind): row
            for row in rows
            if row.path.startswith(prefix)
        }
        run = _read_run(conn, source, run_id, family, is_import=is_import, saw_half=saw_half)
        compared = _compare(conn, source, run, family, ledger)
        differences += [
            replace(difference, path=f"{prefix}{difference.path}") for difference in compared
        ]
    ledger = {(row.path, row.kind): row for row in rows}

    def is_acknowledged(difference: Difference) -> bool:
        if source.policy(difference.path) is Policy.ACCEPT:
            return True
        row = ledger.get((difference.path, difference.kind))
        if row is None or not row.acknowledged:
            return False
        reappeared = difference.otherwise_in > row.last_run_id
        return not reappeared and row.detail == difference.detail

    unacknowledged = [difference for difference in differences if not is_acknowledged(difference)]
    entries = [
        {**asdict(difference), "acknowledged": difference not in unacknowledged}
        for difference in differences
    ]
    if entries:
        parameters = {"source": source.name, "run_id": run_id, "found": json.dumps(entries)}
        conn.execute(statements["upsert_drift"], parameters)
    if any(families):
        limit = {"source": source.name, "most": MOST_FAMILIES}
        conn.execute(statements["delete_oldest_families"], limit)
    fail = [
        difference for difference in unacknowledged if source.policy(difference.path) is Policy.FAIL
    ]
    warn = [difference for difference in unacknowledged if difference not in fail]
    return OpenDrift(warn, fail)


def _path_prefix(family: str) -> str:
    """Return the prefix of a family's paths in the ledger."""
    return f"{family}: " if family else ""


def _read_run(
    conn: Connection, source: Source, run_id: int, family: str, *, is_import: bool, saw_half: bool
) -> ComparedRun:
    parameters = {
        "source": source.name,
        "run_id": run_id,
        "family": family,
        "fewest": FEWEST_RECORDS,
        "judged": list(JUDGED),
    }
    row = conn.execute(STATEMENTS[source.name]["read_baseline"], parameters).one()
    return ComparedRun(
        run_id,
        baseline=row.baseline or run_id,
        judges_absence=saw_half and not (is_import and row.has_runs),
    )


def _compare(
    conn: Connection,
    source: Source,
    run: ComparedRun,
    family: str,
    ledger: Mapping[tuple[str, str], Any],
) -> list[Difference]:
    """Compare the run's records of one family with earlier ones."""
    parameters = {"source": source.name, "run_id": run.run_id, "family": family}
    rows = conn.execute(STATEMENTS[source.name]["read_type_counts"], parameters).mappings()
    counts = [TypeCount(**row) for row in rows]
    differences = compare(counts, expected_paths(source.received_schema), run)
    return differences + _find_renamed(conn, source, run.run_id, differences, ledger)


def _find_renamed(
    conn: Connection,
    source: Source,
    run_id: int,
    differences: Sequence[Difference],
    ledger: Mapping[tuple[str, str], Any],
) -> list[Difference]:
    """Find renamed paths that are new, and those in the ledger that are still renamed."""
    vanished = {each.path: each for each in differences if each.kind == VANISHED}
    appeared = {each.path: each for each in differences if each.kind == APPEARED}
    still_renamed = [
        Difference(path, kind, row.detail, new.records, new.share, new.example)
        for (path, kind), row in ledger.items()
        if kind == RENAMED and path in vanished and (new := appeared.get(row.detail["to"]))
    ]
    new_paths = [each for path, each in appeared.items() if (path, APPEARED) not in ledger]
    paired = {each.path for each in still_renamed}
    unpaired = [each for path, each in vanished.items() if path not in paired]
    if not unpaired or not new_paths:
        return still_renamed
    values = _read_before_and_after(conn, source, run_id)
    return still_renamed + find_renamed(unpaired, new_paths, values)


def _read_before_and_after(
    conn: Connection, source: Source, run_id: int
) -> list[tuple[Values, Values]]:
    parameters = {"source": source.name, "run_id": run_id, "listings": COMPARED_LISTINGS}
    rows = conn.execute(STATEMENTS[source.name]["read_before_and_after"], parameters)
    return [(_by_path(source, row.before), _by_path(source, row.after)) for row in rows]


def _by_path(source: Source, payload: str) -> dict[str, Any]:
    received = source.received(decode(payload))
    values: dict[str, Any] = {}

    def add(node: Any, path: str) -> None:
        if not isinstance(node, dict):
            values[path] = node
            return
        for name, value in node.items():
            add(value, f"{path}.{name}" if path else name)

    add(received or {}, "")
    return values


def read_drift(conn: Connection, source: str | None, *, everything: bool) -> Sequence[Row[Any]]:
    """Read the ledger, last seen first; without `everything`, only open differences.

    Rows also have `said`, `percent` and `looked_at`: the detail, share and example as short texts.
    """
    example = drift.c.example
    stmt = select(
        drift,
        func.array_to_string(
            select(
                func.array_agg(func.concat(column("key"), "=", func.coalesce(column("value"), "-")))
            )
            .select_from(func.jsonb_each_text(drift.c.detail).table_valued("key", "value"))
            .scalar_subquery(),
            " ",
        ).label("said"),
        func.concat(func.round(drift.c.share * 100, 1), "%").label("percent"),
        func.coalesce(example["external_id"].astext, example["position"].astext).label("looked_at"),
    ).order_by(drift.c.last_seen_at.desc(), drift.c.id.desc())
    if source is not None:
        stmt = stmt.where(drift.c.source == source)
    if not everything:
        stmt = stmt.where(drift.c.acknowledged_at.is_(None))
    return conn.execute(stmt).all()


def acknowledge(conn: Connection, ids: Sequence[int] | None) -> Sequence[Row[Any]]:
    """Acknowledge these rows, or all with None; return those that were not acknowledged before."""
    stmt = update(drift).where(drift.c.acknowledged_at.is_(None))
    if ids is not None:
        stmt = stmt.where(drift.c.id.in_(ids))
    stmt = stmt.values(acknowledged_at=func.now())
    return conn.execute(
        stmt.returning(drift.c.id, drift.c.source, drift.c.path, drift.c.kind)
    ).all()
