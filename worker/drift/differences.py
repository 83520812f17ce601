"""How the shape of a run's records differs from the schema's and from that of earlier records.

Pure functions over the counts that `shapes` holds. Each kind of drift is a state, not an event: it
is found again by every run that still shows it.
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
"""A run, or what came before it, with fewer records than this shows no shape."""

NEARLY_ALL = 0.9
"""A path in so large a share of the records before is one that every record should have."""

FEW = 0.5
"""A path that is in a smaller share of a run's records, where nearly all had it, vanished."""

NULL_SHARE = 0.1
"""A path that was never null before may be null in a smaller share of the records."""

ALL_NULL = 0.99

ODD_SHARE = 0.01
"""A type in a smaller share of the records is some odd records', not the source's."""

_OF_FIELDS: tuple[tuple[type[fields.Field[Any]], str], ...] = (
    (Amount, "number"),
    (Instant, "string"),
    (StrippedString, "string"),
    (fields.String, "string"),
    (fields.Nested, "object"),
)


@dataclass(frozen=True, slots=True)
class Expected:
    """What the schema says of a path. A `type` of None is any."""

    type: str | None
    required: bool
    nullable: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of one type at one path, from the runs that this one is compared with.

    `run_records` are the run's own of its `records`. There had been `records_before` records when
    it was first seen, and were `records_until` when it was last seen. Only `first_run_id` is of
    any run: with 0 records, it was seen in others alone.
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
class Setting:
    """Which run is judged; `baseline` is the first run whose records are taken as normal.

    A run that does not see what the source has (a file that was imported beside its own runs) does
    not judge absence.
    """

    run_id: int
    baseline: int
    judges_absence: bool = True


@dataclass(frozen=True, slots=True)
class Difference:
    """One kind of drift at one path, in how many of the run's records, and where to look at it."""

    path: str
    kind: str
    detail: Mapping[str, Any]
    records: int
    share: float
    example: Mapping[str, Any]
    otherwise_in: int = 0
    """The last run with a record that was as before, where none of this run's is."""
    since: int | None = None
    """The first run whose records had it, where that is known."""


def expected_paths(schema: Schema | None, prefix: str = "") -> Mapping[str, Expected]:
    """Say what a schema expects of the records as they are received."""
    expected: dict[str, Expected] = {}
    for name, field in schema.fields.items() if schema else ():
        path = f"{prefix}{field.data_key or name}"
        kind = next((type_ for each, type_ in _OF_FIELDS if isinstance(field, each)), None)
        expected[path] = Expected(kind, field.required, bool(field.allow_none))
        if isinstance(field, fields.Nested):
            expected |= expected_paths(field.schema, f"{path}.")
    return expected


def compare(
    seen: Sequence[Seen], expected: Mapping[str, Expected], setting: Setting
) -> list[Difference]:
    """Say how a run's records differ; nothing where it brought too few to tell."""
    paths: dict[str, list[Seen]] = defaultdict(list)
    for each in seen:
        paths[each.path].append(each)
    total = sum(each.records for each in paths.get("", ()))
    run_total = sum(each.run_records for each in paths.pop("", ()))
    if run_total < FEWEST_RECORDS:
        return []
    judged = [
        _Path(path, rows, total - run_total, run_total, setting)
        for path, rows in sorted(paths.items())
    ]
    known = {one.path for one in judged if one.was_known}
    absent = {one.path for one in judged if one.has_vanished}
    if setting.judges_absence:
        absent |= expected.keys() - known
    new = {one.path for one in judged if one.is_new}
    found: list[Difference] = []
    for one in judged:
        # What is inside something new, or gone, is new or gone with it.
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
    """One path, before the run and in it."""

    def __init__(
        self, path: str, rows: Sequence[Seen], before: int, now: int, setting: Setting
    ) -> None:
        self.path = path
        self.rows = rows
        self.before = before
        self.now = now
        self.setting = setting
        self.present = min(now, sum(row.run_records for row in rows))
        first = min(row.first_run_id for row in rows)
        self.is_new = self.present > 0 and first > setting.baseline
        self.was_known = any(row.records for row in rows)
        self.values = [row for row in rows if row.type != "null"]
        self.null = next((row for row in rows if row.type == "null"), None)

    @property
    def has_vanished(self) -> bool:
        if not self.setting.judges_absence or self.present >= FEW * self.now:
            return False
        rows = [row for row in self.rows if row.records]
        until = self.before if self.present else max((r.records_until for r in rows), default=0)
        could = until - min((row.records_before for row in rows), default=0)
        did = sum(row.records - row.run_records for row in rows)
        return could >= FEWEST_RECORDS and did >= NEARLY_ALL * could

    def appeared(self) -> Difference:
        types = sorted({row.type for row in self.values}) or ["null"]
        since = min(row.first_run_id for row in self.rows)
        return self._difference(APPEARED, {"to": types}, self.present, self.rows, since=since)

    def vanished(self) -> Difference:
        types = sorted({row.type for row in self.values}) or ["null"]
        otherwise_in = 0 if self.present else max(row.last_run_id for row in self.rows)
        lacking = self.now - self.present
        return self._difference(
            VANISHED, {"from": types}, lacking, self.rows, otherwise_in=otherwise_in
        )

    def differing_types(self, expects: Expected | None) -> Iterator[Difference]:
        """Compare the types with those before, and with the schema's."""
        odd = ODD_SHARE * self.now
        later = [row for row in self.values if row.run_records > odd and self._is_later(row)]
        if later:
            first = min(row.first_run_id for row in later)
            came_from = sorted({row.type for row in self.values if row.first_run_id < first})
            detail: dict[str, Any] = {"from": came_from, "to": sorted(row.type for row in later)}
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
        if expects:
            wrong = [row for row in self.rows if row.run_records > odd and _differs(row, expects)]
            if wrong:
                detail = {"expected": expects.type, "to": sorted(row.type for row in wrong)}
                count = sum(row.run_records for row in wrong)
                yield self._difference(UNEXPECTED, detail, count, wrong)

    def _is_later(self, row: Seen) -> bool:
        """Whether the path was there, with other values, before it had this type."""
        first = min(value.first_run_id for value in self.values)
        return row.first_run_id > max(first, self.setting.baseline)

    def _became_null(self, null: Seen) -> bool:
        if not self.setting.judges_absence or not null.run_records:
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
        rows: Sequence[Seen],
        **runs: int,
    ) -> Difference:
        example = max(rows, key=lambda row: (row.run_records, row.records_until)).example
        records = min(records, self.now)
        share = records / self.now
        return Difference(self.path, kind, detail, records, share, example, **runs)


def _differs(row: Seen, expects: Expected) -> bool:
    if row.type == "null":
        return not expects.nullable
    return expects.type is not None and row.type != expects.type


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _name(path: str) -> str:
    return path.rpartition(".")[2]
