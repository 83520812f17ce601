"""The first rows of a file, with its columns and its declaration."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.sources.csv.cells.columns import Columns, toml_line
from worker.sources.csv.cells.numbers import is_unknown, unknown_words


@dataclass(frozen=True, slots=True)
class FirstRows:
    """The data that questions about a file are answered from.

    `name` is the file name without its folder.
    """

    name: str
    delimiter: str
    headers: Sequence[str]
    columns: Columns
    declared: Mapping[str, Any]
    rows: Sequence[Mapping[str, str]]

    @property
    def as_usd(self) -> frozenset[str]:
        return frozenset(self.declared.get("as_usd", ()))

    @property
    def ignored(self) -> Sequence[str]:
        return tuple(self.declared.get("ignore", ()))

    def ignore_line(self, *headers: str) -> str:
        """Format an `ignore` key that adds these columns to those that are ignored already."""
        return toml_line("ignore", list(dict.fromkeys([*self.ignored, *headers])))

    def cells(self, header: str) -> list[str]:
        """Return the cells of a column that are not empty."""
        return [row[header] for row in self.rows if row[header].strip()]

    def value_cells(self, header: str) -> list[str]:
        """Return the cells of a column that do not mean an unknown value."""
        unknown = unknown_words(self.declared.get("unknown", ()))
        return [cell for cell in self.cells(header) if not is_unknown(cell, unknown)]

    def unread(self, also_read: Iterable[str] = ()) -> list[str]:
        """Return the columns that hold no field and are not ignored."""
        excluded = {*self.columns.headers.values(), *self.ignored, *also_read}
        return [header for header in self.headers if header not in excluded]
