"""Read CSV files under a path, each with an optional declaration beside it.

A file continues where the last run stopped, as long as the part before that position is unchanged.
Otherwise it is read from its start; unchanged rows are recognised by their key. The cursor also
stores how the rows were read, so that added rows cannot change the meaning of earlier ones.

A last line without a newline may be half a row. It waits for a later run, which takes it if it is
complete and the file has not changed since the previous run. If it is still incomplete, the run
reports it. In an imported file, the end of the file is the end of the row.

A row is stored as `{"row": {header: text}, "declared": {...}}`, so that it can be read again
without the file.
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
from worker.sources.csv.reading.files import (
    absolute,
    family_of,
    find_files,
    join_errors,
    printable_path,
    version_of,
)
from worker.sources.csv.reading.rows import LastLine, Position
from worker.sources.csv.rejected_rows import read_rejected_row
from worker.sources.csv.schema import id_of_row, observe_row, row_schema

FilePage = tuple[list[RawRecord], dict[str, Any], FileReading]
"""Consecutive records of one file, its cursor entry after them, and how it was read."""


@dataclass(frozen=True, kw_only=True)
class CsvFiles(Source):
    """The files under `path`; None reads nothing.

    `declaration` replaces the declarations beside the files. With `is_sample` no path is
    configured: the project's sample is read, and the cursor records that.
    """

    name = "csv"
    is_snapshot = False
    empty_is_null = True
    schema: ClassVar[Schema] = row_schema(
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
        """Return the source that reads nothing instead of the sample."""
        return replace(self, path=None, is_sample=False) if self.is_sample else self

    def reads(self, file: Path) -> bool:
        """Whether the path includes this file; False if its files cannot be listed."""
        try:
            return self.path is not None and any(
                each.samefile(file) for each in find_files(Path(self.path))
            )
        except OSError:
            return False

    def reads_sample_by_choice(self) -> bool:
        """Whether the configured files include the sample.

        Raises:
            OSError: the files cannot be listed.
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

        The cursor has one entry for each file; entries of missing files are removed. A page without
        rows records that a file was checked. A refused file does not prevent the others from being
        read.

        Raises:
            SourceError: after all files were read, with every refused file; `no_file` if there is
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
                for records, entry, reading in self._file_pages(path, entries.get(key)):
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
            raise join_errors(refused, len(paths))

    def _cursor(self, entries: Mapping[str, Any]) -> Cursor:
        return {"files": entries, **({"sample": True} if self.is_sample else {})}

    def saved_pages(self, path: Path) -> Iterator[Page]:
        for records, _, reading in self._file_pages(path, None, imported=True):
            yield Page(records, None, None, file=reading)

    def declared_for(self, declaration: Path, files: Sequence[Path]) -> "CsvFiles":
        """Return the source with one declaration for the files of an import.

        Raises:
            SourceError: `declaration`, if it has constants and there are several files.
        """
        constants = read_declaration(declaration).get("values", {})
        if constants and len(files) > 1:
            fields = ", ".join(constants)
            raise SourceError(
                f"{declaration}: [values] {fields} would apply to each of {len(files)} files; "
                "import the files one by one, or write a declaration beside each",
                code="declaration",
            )
        return replace(self, declaration=declaration)

    def read_rejected(self, payload: bytes, position: str) -> RawRecord | None:
        return read_rejected_row(payload, position)

    @property
    def received_schema(self) -> None:
        return None

    def received(self, document: Mapping[str, Any]) -> Mapping[str, Any] | None:
        row = document.get("row")
        return row if isinstance(row, dict) else None

    def id_of(self, document: Mapping[str, Any]) -> str | None:
        return id_of_row(document)

    def observe(self, document: Mapping[str, Any]) -> Observation:
        return observe_row(document)

    def _paths(self) -> dict[str, Path]:
        """Find the files; keys are the paths that the cursor stores and messages show."""
        if self.path is None:
            return {}
        try:
            found = {printable_path(absolute(each)): each for each in find_files(Path(self.path))}
        except OSError as exc:
            raise SourceError(f"csv: {self.path}: {exc.strerror}", code="unreadable") from exc
        if not found:
            raise SourceError(
                f"csv: CSV_PATH is {self.path!r}, which matches no file; expected a file, a folder "
                "with *.csv files, or a glob",
                code="no_file",
            )
        return dict(sorted(found.items()))

    def _file_pages(
        self, path: Path, entry: Mapping[str, Any] | None, *, imported: bool = False
    ) -> Iterator[FilePage]:
        """Yield the rows of a file after its cursor entry, in pages."""
        beside = self.declaration or path.with_name(f"{path.name}.toml")
        where = f"csv: {printable_path(path)}"
        try:
            declared = read_declaration(beside) if self.declaration or beside.exists() else {}
            with path.open("rb") as opened:
                version = version_of(os.fstat(opened.fileno()), declared)
                seen = entry is not None and version.items() <= entry.items()
                if seen and entry and entry["done"]:
                    return
                last_line = LastLine.SETTLED if seen else LastLine.GROWING
                last_line = LastLine.COMPLETE if imported else last_line
                file = CsvFile(path, opened, declared, last_line, beside)
                is_anew, is_empty, is_resumed = True, True, False
                if entry and entry["declared"] == version["declared"]:
                    position = Position(entry["offset"], entry["line"], entry["sha256"])
                    is_resumed = file.resume(position, entry.get("read_as", {}))
                    is_anew = not is_resumed or entry.get("is_anew", False)
                    is_empty = not is_resumed or entry.get("is_empty", False)
                reading = replace(
                    _reading(path, file, declared, version["declared"]),
                    is_reread=_is_reread(entry, is_resumed=is_resumed),
                )
                progress = {"is_anew": is_anew, "is_empty": is_empty}
                is_empty = yield from self._split_pages(file, version, entry, reading, progress)
                file.require_complete(version["size"], os.fstat(opened.fileno()).st_size)
                if is_empty and (imported or seen):
                    file.refuse_empty()
        except SourceError as exc:
            raise SourceError(
                f"{where}: {exc}", code=exc.code, brief=f"{where}: {exc.brief}"
            ) from exc
        except OSError as exc:
            raise SourceError(f"{where}: {exc.strerror}", code="unreadable") from exc

    def _split_pages(
        self,
        file: CsvFile,
        version: Mapping[str, Any],
        entry: Mapping[str, Any] | None,
        reading: FileReading,
        progress: Mapping[str, bool],
    ) -> Generator[FilePage, None, bool]:
        """Yield the remaining rows in pages; return whether the file has had no rows so far.

        The cursor entry keeps `is_anew` and `is_empty` until the file was read to its end. A file
        without rows is not done, so the next run checks it again.
        """
        read_as = {"read_as": file.read_as} if file.read_as else {}
        is_anew, is_empty = progress["is_anew"], progress["is_empty"]

        def next_entry(*, is_done: bool) -> dict[str, Any]:
            states = {"is_anew": is_anew, "is_empty": is_empty}
            state = {"done": is_done, **({} if is_done else {k: v for k, v in states.items() if v})}
            return {**version, **file.reader.position()._asdict(), **read_as, **state}

        def page(*, is_end: bool) -> FilePage:
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
                yield page(is_end=False)
                records = []
            records.append(record)
            is_empty = False
            if len(records) == self.rows_per_page:
                following = next_entry(is_done=False)
        following = next_entry(is_done=file.is_done(version["size"]) and not is_empty)
        if records or following != entry:
            yield page(is_end=following["done"] and is_anew)
        return is_empty


def _reading(
    path: Path, file: CsvFile, declared: Mapping[str, Any], digest: str | None
) -> FileReading:
    full_path = absolute(path)
    return FileReading(
        path=printable_path(full_path),
        name=os.fsencode(path.name).decode(errors="backslashreplace"),
        declaration=digest or "",
        family=family_of(full_path, declared),
        columns=file.columns,
        left_out=file.left_out(),
        settled=file.findings,
    )


def _is_reread(entry: Mapping[str, Any] | None, *, is_resumed: bool) -> bool:
    return entry is not None and not is_resumed and not entry.get("is_empty", False)
