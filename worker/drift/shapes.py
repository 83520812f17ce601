"""The shapes of records: their paths, and the type at each path.

A path joins the names of nested members with dots; elements of an array are `[]`. The path of the
record itself is "". Integers and decimals are both numbers.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from shared.model.records import Claim, Observation, RawRecord, Reject
from worker.sources.fields import printable

TYPES = ("object", "array", "string", "number", "boolean", "null")

# A structure stores its types as bytes, which are fast to create, hash and search.
OBJECT, ARRAY, STRING, NUMBER, BOOLEAN, NULL = range(len(TYPES))

MOST_PATHS = 1000
"""Number of separate paths in one source; further names are treated as data and share `*`."""

MOST_NAMES = 200
"""Number of separate names in one object; with more, all names share `*`."""

LONGEST_PATH = 300

MOST_STRUCTURES = 10_000
"""Number of structures that are cached from batch to batch."""

KEY_SIZE = 8
"""Bytes of the key of a structure."""

Checked = Observation | Claim | Reject

Structure = tuple[Any, ...]
"""The names, types and nested structures of an object; equal in records of one shape."""

_CODES: dict[type, int] = {
    dict: OBJECT,
    list: ARRAY,
    str: STRING,
    int: NUMBER,
    Decimal: NUMBER,
    float: NUMBER,
    bool: BOOLEAN,
    type(None): NULL,
}
_code = _CODES.__getitem__


@dataclass(frozen=True, slots=True)
class Shape:
    """One type at one path: the number of records with it, and an example.

    Records are compared only with records of the same `family`, because files of different origin
    have different shapes.
    """

    path: str
    type: str
    records: int
    example: Mapping[str, str | None]
    family: str = ""


class _Counted:
    """The number of records of one structure since the last `take`, and the first of them."""

    __slots__ = ("count", "first", "key", "places", "structure")

    def __init__(self, structure: Structure, record: RawRecord, checked: Checked) -> None:
        self.structure = structure
        self.key = blake2b(
            repr(structure).encode(errors="replace"), digest_size=KEY_SIZE
        ).hexdigest()
        self.places: Sequence[tuple[str, int]] = ()
        self.count = 0
        self.first = record, checked


class ShapeCounter:
    """Counts the shapes of one source's records in one run.

    `paths` are the stored paths of the source; they never become `*`. With `empty_is_null` an empty
    text counts as null, as in CSV files.
    """

    def __init__(
        self, paths: Iterable[str] = (), *, empty_is_null: bool = False, family: str = ""
    ) -> None:
        self._paths = set(paths)
        self._empty_is_null = empty_is_null
        self._family = family
        self._structures: dict[Structure, _Counted] = {}
        self._keys: dict[str, _Counted] = {}
        self._counted: list[_Counted] = []

    def add(self, document: Mapping[str, Any], record: RawRecord, checked: Checked) -> str:
        """Count one record, and return the key of its structure, which is the same in every run.

        `checked` provides the id and time of the record, in case it becomes an example.
        """
        structure = _structure(document)
        if self._empty_is_null and "" in document.values():
            types = bytes(map(_code_or_null, document.values()))
            structure = (structure[0], types, *structure[2:])
        counted = self._structures.get(structure)
        if counted is None:
            counted = self._structures[structure] = _Counted(structure, record, checked)
            self._keys[counted.key] = counted
        if not counted.count:
            counted.first = record, checked
            self._counted.append(counted)
        counted.count += 1
        return counted.key

    def add_again(self, key: str) -> bool:
        """Count one more record by the key of its structure.

        Returns False, and counts nothing, if no such record was counted since the last `take`: then
        `add` needs the record itself as an example.
        """
        counted = self._keys.get(key)
        if counted is None or not counted.count:
            return False
        counted.count += 1
        return True

    def take(self) -> list[Shape]:
        """Return the shapes counted since the last call; the path "" comes first."""
        counts: dict[tuple[str, int], list[Any]] = {}
        for counted in self._counted:
            example = None
            counted.places = counted.places or [*dict.fromkeys(self._places(counted.structure, ""))]
            for place in counted.places:
                if place in counts:
                    counts[place][0] += counted.count
                else:
                    example = example or _example(*counted.first)
                    counts[place] = [counted.count, example]
            counted.count = 0
        self._counted.clear()
        if len(self._structures) > MOST_STRUCTURES:
            self._structures.clear()
            self._keys.clear()
        return [
            Shape(path, TYPES[code], count, example, self._family)
            for (path, code), (count, example) in counts.items()
        ]

    def _places(self, structure: Structure, path: str) -> Iterator[tuple[str, int]]:
        """Yield each path in an object, with its type."""
        names, types, *nested = structure
        yield path, OBJECT
        objects = types.count(OBJECT)
        inner, arrays = iter(nested[:objects]), iter(nested[objects:])
        are_separate = len(names) <= MOST_NAMES
        for name, code in zip(names, types, strict=True):
            step = self._step(path, name if are_separate else "*")
            if code == OBJECT:
                yield from self._places(next(inner), step)
            else:
                yield step, code
                if code == ARRAY:
                    yield from self._elements(next(arrays), step)

    def _elements(self, structure: Structure, path: str) -> Iterator[tuple[str, int]]:
        step = self._step(path, "[]")
        for element in structure:
            if isinstance(element, int):
                yield step, element
            elif element[0] == ARRAY:
                yield step, ARRAY
                yield from self._elements(element[1], step)
            else:
                yield from self._places(element, step)

    def _step(self, path: str, name: str) -> str:
        name = name or '""'
        step = printable(f"{path}.{name}" if path else name)[:LONGEST_PATH]
        if step in self._paths:
            return step
        if len(self._paths) >= MOST_PATHS:
            return f"{path}.*"[:LONGEST_PATH] if path else "*"
        self._paths.add(step)
        return step


def _structure(document: Mapping[str, Any]) -> Structure:
    """Return the structure of an object: names, types, and structures of its objects and arrays."""
    names = tuple(document)
    types = bytes(map(_code, map(type, document.values())))
    if OBJECT not in types and ARRAY not in types:
        return (names, types)
    nested: list[Structure] = []
    for code, structure_of in ((OBJECT, _structure), (ARRAY, _element_structures)):
        at = types.find(code)
        while at >= 0:
            nested.append(structure_of(document[names[at]]))
            at = types.find(code, at + 1)
    return (names, types, *nested)


def _element_structures(values: list[Any]) -> Structure:
    """Return the distinct structures of the elements, in the order of their first occurrence."""
    structures: dict[Any, None] = {}
    for value in values:
        kind = type(value)
        if kind is dict:
            structures[_structure(value)] = None
        elif kind is list:
            structures[ARRAY, _element_structures(value)] = None
        else:
            structures[_code(kind)] = None
    return tuple(structures)


def _code_or_null(value: Any) -> int:
    return NULL if value == "" else _code(type(value))


def _example(record: RawRecord, checked: Checked) -> dict[str, str | None]:
    observed_at = None if isinstance(checked, Reject) else checked.observed_at.isoformat()
    return {
        "external_id": checked.external_id,
        "observed_at": observed_at,
        "position": record.position,
    }
