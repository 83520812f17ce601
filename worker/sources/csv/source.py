"""CSV files: a file, a folder or a glob, with what cannot be known declared beside each.

A file goes on where the last run stopped, as long as what was read of it is still what it begins
with; else it is read again from the start, and rows that did not change are found so by their key.
The cursor also has how its rows were read: rows added later cannot give the others another meaning.
A last line without a newline may be half a row: it waits, and is taken by a later run if it is a
whole row in a file that has not changed since the run before. If it is none then, the run says so.
In a file that is imported by name the end is the end.

A row is kept as `{"row": {header: text}, "declared": {...}}`, with what was declared of its file,
so that it can be read again without the file.
"""

import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from marshmallow import Schema

from shared.environment import SAMPLE_CSV
from shared.errors import SourceError
from shared.model.records import VALUES, Cursor, FileReading, Observation, Page, RawRecord
from shared.settings import Settings
from worker.sources.base import Fetch, Source
from worker.sources.csv.declaration import read_declaration
from worker.sources.csv.file import CsvFile
from worker.sources.csv.kept import kept_row
from worker.sources.csv.reading.files import (
    absolute,
    family_of,
    find_files,
    join_refusals,
    shown_path,
    version_of,
)
from worker.sources.csv.reading.rows import Ending, Position
from worker.sources.csv.schema import observe_row, row_reading

Stretch = tuple[list[RawRecord], dict[str, Any], FileReading]
"""Consecutive records of one file, its entry in the cursor after them, and how it is read."""


@dataclass(frozen=True, kw_only=True)
class CsvFiles(Source):
    """The files under a path; under None there is nothing to read, and nothing is missing.

    A `declaration` holds for all of them, instead of those beside. With `is_sample` no path
    is configured: the project's sample is read, and the cursor says so.
    """

    name = "csv"
    is_snapshot = False
    empty_is_null = True
    schema: ClassVar[Schema] = row_reading(
        ("id", "symbol", "name", "observed_at", *VALUES), b"{}"
    ).schema

    path: str | None
    rows_per_page: int
    declaration: Path | None = None
    is_sample: bool = False

    @classmethod
    def from_settings(cls, settings: Settings) -> "CsvFiles":
        return cls(
            path=settings.csv_path or str(SAMPLE_CSV),
            rows_per_page=settings.batch_size,
            is_sample=settings.csv_path is None,
        )

    def without_sample(self) -> "CsvFiles":
        """Return the source without the sample, where that is what it reads."""
        return replace(self, path=None, is_sample=False) if self.is_sample else self

    def reads(self, file: Path) -> bool:
        """Whether the files that are read include this one; not where they cannot be listed."""
        try:
            return self.path is not None and any(
                each.samefile(file) for each in find_files(Path(self.path))
            )
        except OSError:
            return False

    def reads_sample_by_choice(self) -> bool:
        """Whether the files that a person chose include the sample.

        Raises:
            OSError: it cannot be said, since the files cannot be listed.
        """
        if self.is_sample or self.path is None or not SAMPLE_CSV.exists():
            return False
        return any(each.samefile(SAMPLE_CSV) for each in find_files(Path(self.path)))

    def pages(
        self,
        fetch: Fetch,  # noqa: ARG002
        cursor: Cursor | None,
        validators: Mapping[str, str],  # noqa: ARG002
    ) -> Iterator[Page]:
        """Yield the new rows of every file.

        The cursor holds one entry for each file, and forgets a file that is gone. A page without
        rows says only that a file was looked at. A file that is refused does not keep the others
        from being read.

        Raises:
            SourceError: at the end, naming every file that was refused; `no_file` where there is
                none.
        """
        paths = self._paths()
        before = cursor or {}
        read: Mapping[str, Any] = before.get("files", {})
        entries = {key: read[key] for key in paths if key in read}
        is_any_gone = entries.keys() != read.keys()
        if cursor and (is_any_gone or before.get("sample", False) != self.is_sample):
            yield Page([], before, self._cursor(entries), reads_anew=is_any_gone)
        refused: list[SourceError] = []
        for key, path in paths.items():
            try:
                for records, entry, reading in self._rows(path, entries.get(key)):
                    following = {**entries, key: entry}
                    yield Page(
                        records,
                        self._cursor(entries),
                        self._cursor(following),
                        file=reading,
                        reads_anew=reading.is_reread,
                    )
                    entries = following
            except SourceError as exc:
                refused.append(exc)
        if refused:
            raise join_refusals(refused, len(paths))

    def _cursor(self, entries: Mapping[str, Any]) -> Cursor:
        return {"files": entries, **({"sample": True} if self.is_sample else {})}

    def saved_pages(self, path: Path) -> Iterator[Page]:
        for records, _, reading in self._rows(path, None, imported=True):
            yield Page(records, None, None, file=reading)

    def declared_for(self, declaration: Path, files: Sequence[Path]) -> "CsvFiles":
        """Give the source with a declaration for the files that are imported.

        Raises:
            SourceError: `declaration`, where it has constants and there are several files.
        """
        constants = read_declaration(declaration).get("values", {})
        if constants and len(files) > 1:
            named = ", ".join(constants)
            raise SourceError(
                f"{declaration}: [values] {named} would hold for each of {len(files)} files; "
                "import each file by itself, or write a declaration beside each",
                code="declaration",
            )
        return replace(self, declaration=declaration)

    def kept(self, payload: bytes, position: str) -> RawRecord | None:
        return kept_row(payload, position)

    @property
    def received_schema(self) -> None:
        return None

    def received(self, document: Mapping[str, Any]) -> Mapping[str, Any] | None:
        row = document.get("row")
        return row if isinstance(row, dict) else None

    def observe(self, document: Mapping[str, Any]) -> Observation:
        return observe_row(document)

    def _paths(self) -> dict[str, Path]:
        """Find the files, by the names that the cursor and people know them by."""
        if self.path is None:
            return {}
        try:
            found = {shown_path(absolute(each)): each for each in find_files(Path(self.path))}
        except OSError as exc:
            raise SourceError(f"csv: {self.path}: {exc.strerror}", code="unreadable") from exc
        if not found:
            raise SourceError(
                f"csv: CSV_PATH is {self.path!r}, and no file is there; expected a file, a folder "
                "with *.csv in it, or a glob",
                code="no_file",
            )
        return dict(sorted(found.items()))

    def _rows(
        self, path: Path, entry: Mapping[str, Any] | None, *, imported: bool = False
    ) -> Iterator[Stretch]:
        """Yield what the file has after the entry, stretch by stretch, each with its next entry."""
        beside = self.declaration or path.with_name(f"{path.name}.toml")
        try:
            declared = read_declaration(beside) if self.declaration or beside.exists() else {}
            with path.open("rb") as opened:
                version = version_of(os.fstat(opened.fileno()), declared)
                seen = entry is not None and version.items() <= entry.items()
                if seen and entry and entry["done"]:
                    return
                ending = Ending.SETTLED if seen else Ending.GROWING
                file = CsvFile(path, opened, declared, Ending.WHOLE if imported else ending, beside)
                is_anew = is_empty = True
                is_resumed = False
                if entry and entry["declared"] == version["declared"]:
                    position = Position(entry["offset"], entry["line"], entry["sha256"])
                    is_resumed = file.resume(position, entry.get("read_as", {}))
                    is_anew = not is_resumed or entry.get("is_anew", False)
                    is_empty = not is_resumed or entry.get("is_empty", False)
                reading = replace(
                    _reading(path, file, declared, version["declared"]),
                    is_reread=_is_reread(entry, is_resumed=is_resumed),
                )
                under_way = {"is_anew": is_anew, "is_empty": is_empty}
                is_empty = yield from self._stretches(file, version, entry, reading, under_way)
                file.require_whole(version["size"], os.fstat(opened.fileno()).st_size)
                if is_empty and (imported or seen):
                    file.refuse_empty()
        except SourceError as exc:
            where = f"csv: {shown_path(path)}"
            raise SourceError(
                f"{where}: {exc}", code=exc.code, brief=f"{where}: {exc.brief}"
            ) from exc
        except OSError as exc:
            where = f"csv: {shown_path(path)}"
            raise SourceError(f"{where}: {exc.strerror}", code="unreadable") from exc

    def _stretches(
        self,
        file: CsvFile,
        version: Mapping[str, Any],
        entry: Mapping[str, Any] | None,
        reading: FileReading,
        under_way: Mapping[str, bool],
    ) -> Generator[Stretch, None, bool]:
        """Yield the rows from where the file stands; return whether it held none so far.

        What is read anew, or has no row yet, stays so in the cursor until the file was read to its
        end: one without any is looked at again.
        """
        read_as = {"read_as": file.read_as} if file.read_as else {}
        is_anew, is_empty = under_way["is_anew"], under_way["is_empty"]

        def next_entry(*, is_done: bool) -> dict[str, Any]:
            states = {"is_anew": is_anew, "is_empty": is_empty}
            state = {"done": is_done, **({} if is_done else {k: v for k, v in states.items() if v})}
            return {**version, **file.reader.position()._asdict(), **read_as, **state}

        def stretch(*, is_end: bool) -> Stretch:
            count, first = file.take_without_value()
            return (
                records,
                following,
                replace(
                    reading,
                    without_value=count,
                    first_without_value=first,
                    is_end=is_end,
                    is_unended=file.reader.is_unended,
                ),
            )

        records: list[RawRecord] = []
        following: dict[str, Any] = {}
        for record in file.records():
            if len(records) == self.rows_per_page:
                yield stretch(is_end=False)
                records = []
            records.append(record)
            is_empty = False
            if len(records) == self.rows_per_page:
                following = next_entry(is_done=False)
        following = next_entry(is_done=file.is_done(version["size"]) and not is_empty)
        if records or following != entry:
            yield stretch(is_end=following["done"] and is_anew)
        return is_empty


def _reading(
    path: Path, file: CsvFile, declared: Mapping[str, Any], digest: str | None
) -> FileReading:
    whole = absolute(path)
    return FileReading(
        path=shown_path(whole),
        name=os.fsencode(path.name).decode(errors="backslashreplace"),
        declaration=digest or "",
        family=family_of(whole, declared),
        columns=file.columns,
        left_out=file.left_out(),
        settled=file.settled,
    )


def _is_reread(entry: Mapping[str, Any] | None, *, is_resumed: bool) -> bool:
    return entry is not None and not is_resumed and not entry.get("is_empty", False)
