"""Compare the shape of a run's records with the schema and with earlier records.

Pure functions over the counts of `shapes`. A kind of drift is a state, not an event: every run that
still shows it finds it again.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marshmallow import Schema, fields

from worker.sources.fields import Amount, Instant, StrippedString

APPEARED = "appeared"
VANISHED = "vanished"
CHANGED_TYPE = "changed_type"
BECAME_NULL = "became_null"
UNEXPECTED = "unexpected"
MISSING = "missing"
RENAMED = "renamed"

FEWEST_RECORDS = 5
"""A comparison needs at least this many records in the run, and before it."""

NEARLY_ALL = 0.9
"""A path in at least this share of earlier records is expected in every record."""

FEW = 0.5
"""A path that nearly all records had has vanished below this share of a run's records."""

NULL_SHARE = 0.1
"""A path that was never null became null from this share of a run's records on."""

ALL_NULL = 0.99

ODD_SHARE = 0.01
"""A type in a smaller share of the records is attributed to odd records, not to the source."""

_FIELD_TYPES: tuple[tuple[type[fields.Field[Any]], str], ...] = (
    (Amount, "number"),
    (Instant, "string"),
    (StrippedString, "string"),
    (fields.String, "string"),
    (fields.Nested, "object"),
)


@dataclass(frozen=True, slots=True)
class Expected:
    """What the schema expects at a path; a `type` of None accepts any."""

    type: str | None
    required: bool
    nullable: bool


@dataclass(frozen=True, slots=True)
class TypeCount:
    """Counts of one type at one path, in the runs that are compared.

    `run_records` is the part of `records` in the run itself. `records_before` and `records_until`
    are the numbers of records that had been read when the type was first and last seen. Only
    `first_run_id` covers all runs: with 0 records, the type was seen in other runs only.
    """

    path: str
    type: str
    records: int
    run_records: int
    first_run_id: int
    last_run_id: int
    records_before: int
    records_until: int
    example: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """The run to compare; `baseline` is the first run, whose records are taken as normal.

    A run that does not see the whole source cannot judge absence. An example is an imported file of
    a source with its own runs.
    """

    run_id: int
    baseline: int
    judges_absence: bool = True


@dataclass(frozen=True, slots=True)
class Difference:
    """One kind of drift at one path, the share of the run's records with it, and an example."""

    path: str
    kind: str
    detail: Mapping[str, Any]
    records: int
    share: float
    example: Mapping[str, Any]
    otherwise_in: int = 0
    """The last run with a record without the difference, if this run has none."""
    since: int | None = None
    """The first run with the difference, if known."""


def expected_paths(schema: Schema | None, prefix: str = "") -> Mapping[str, Expected]:
    """Map the paths of received records to what the schema expects there."""
    expected: dict[str, Expected] = {}
    for name, field in schema.fields.items() if schema else ():
        path = f"{prefix}{field.data_key or name}"
        kind = next((type_ for each, type_ in _FIELD_TYPES if isinstance(field, each)), None)
        expected[path] = Expected(kind, field.required, bool(field.allow_none))
        if isinstance(field, fields.Nested):
            expected |= expected_paths(field.schema, f"{path}.")
    return expected


def compare(
    counts: Sequence[TypeCount], expected: Mapping[str, Expected], run: ComparedRun
) -> list[Difference]:
    """Return the differences of a run's records; none if the run has too few records."""
    counts_by_path: dict[str, list[TypeCount]] = defaultdict(list)
    for each in counts:
        counts_by_path[each.path].append(each)
    total = sum(each.records for each in counts_by_path.get("", ()))
    run_total = sum(each.run_records for each in counts_by_path.pop("", ()))
    if run_total < FEWEST_RECORDS:
        return []
    paths = [
        _Path(path, rows, total - run_total, run_total, run)
        for path, rows in sorted(counts_by_path.items())
    ]
    known = {one.path for one in paths if one.was_known}
    absent = {one.path for one in paths if one.has_vanished}
    if run.judges_absence:
        absent |= expected.keys() - known
    new = {one.path for one in paths if one.is_new}
    found: list[Difference] = []
    for one in paths:
        # Only the outermost path is reported: its contents appear or vanish with it.
        if one.path in new - expected.keys() and _parent(one.path) not in new:
            found.append(one.appeared())
        if one.has_vanished and _parent(one.path) not in absent:
            found.append(one.vanished())
        found.extend(one.differing_types(expected.get(one.path)))
    for path in sorted(expected.keys() & absent - known):
        if _parent(path) not in absent:
            detail = {"required": expected[path].required}
            found.append(Difference(path, MISSING, detail, run_total, 1.0, {}))
    return found


class _Path:
    """One path, with its counts before the run and in the run."""

    def __init__(
        self, path: str, rows: Sequence[TypeCount], before: int, now: int, run: ComparedRun
    ) -> None:
        self.path = path
        self.rows = rows
        self.before = before
        self.now = now
        self.run = run
        self.present = min(now, sum(row.run_records for row in rows))
        first = min(row.first_run_id for row in rows)
        self.is_new = self.present > 0 and first > run.baseline
        self.was_known = any(row.records for row in rows)
        self.values = [row for row in rows if row.type != "null"]
        self.null = next((row for row in rows if row.type == "null"), None)

    @property
    def has_vanished(self) -> bool:
        if not self.run.judges_absence or self.present >= FEW * self.now:
            return False
        rows = [row for row in self.rows if row.records]
        until = self.before if self.present else max((r.records_until for r in rows), default=0)
        possible = until - min((row.records_before for row in rows), default=0)
        actual = sum(row.records - row.run_records for row in rows)
        return possible >= FEWEST_RECORDS and actual >= NEARLY_ALL * possible

    def appeared(self) -> Difference:
        types = sorted({row.type for row in self.values}) or ["null"]
        since = min(row.first_run_id for row in self.rows)
        return self._difference(APPEARED, {"to": types}, self.present, self.rows, since=since)

    def vanished(self) -> Difference:
        types = sorted({row.type for row in self.values}) or ["null"]
        otherwise_in = 0 if self.present else max(row.last_run_id for row in self.rows)
        missing = self.now - self.present
        return self._difference(
            VANISHED, {"from": types}, missing, self.rows, otherwise_in=otherwise_in
        )

    def differing_types(self, expected: Expected | None) -> Iterator[Difference]:
        """Compare the types with those of earlier records, and with the schema's."""
        odd = ODD_SHARE * self.now
        later = [row for row in self.values if row.run_records > odd and self._is_later(row)]
        if later:
            first = min(row.first_run_id for row in later)
            earlier = sorted({row.type for row in self.values if row.first_run_id < first})
            detail: dict[str, Any] = {"from": earlier, "to": sorted(row.type for row in later)}
            count = sum(row.run_records for row in later)
            yield self._difference(CHANGED_TYPE, detail, count, later, since=first)
        if self.null and self.values and self._became_null(self.null):
            nulls = self.null.run_records
            types = sorted(row.type for row in self.values)
            detail = {"from": types, "all": nulls >= ALL_NULL * self.present}
            is_all = nulls == self.present
            otherwise_in = max(row.last_run_id for row in self.values) if is_all else 0
            yield self._difference(
                BECAME_NULL, detail, nulls, [self.null], otherwise_in=otherwise_in
            )
        if expected:
            wrong = [row for row in self.rows if row.run_records > odd and _differs(row, expected)]
            if wrong:
                detail = {"expected": expected.type, "to": sorted(row.type for row in wrong)}
                count = sum(row.run_records for row in wrong)
                yield self._difference(UNEXPECTED, detail, count, wrong)

    def _is_later(self, row: TypeCount) -> bool:
        """Whether the path had other values before it had this type."""
        first = min(value.first_run_id for value in self.values)
        return row.first_run_id > max(first, self.run.baseline)

    def _became_null(self, null: TypeCount) -> bool:
        if not self.run.judges_absence or not null.run_records:
            return False
        share = null.run_records / self.present
        if share >= NULL_SHARE and self._is_later(null):
            return True
        earlier = sum(row.records - row.run_records for row in self.rows)
        nulls = null.records - null.run_records
        return share >= ALL_NULL and earlier >= FEWEST_RECORDS and nulls < FEW * earlier

    def _difference(
        self,
        kind: str,
        detail: Mapping[str, Any],
        records: int,
        rows: Sequence[TypeCount],
        **runs: int,
    ) -> Difference:
        example = max(rows, key=lambda row: (row.run_records, row.records_until)).example
        records = min(records, self.now)
        share = records / self.now
        return Difference(self.path, kind, detail, records, share, example, **runs)


def _differs(row: TypeCount, expected: Expected) -> bool:
    if row.type == "null":
        return not expected.nullable
    return expected.type is not None and row.type != expected.type


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _name(path: str) -> str:
    return path.rpartition(".")[2]
