"""CSV files of a test's own, and what the source makes of them."""

import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.errors import SourceError
from shared.model.records import FileReading, Observation, RawRecord
from worker.ingest.checking.check import check
from worker.sources.csv import CsvFiles


class SavedFile:
    """One file in a folder, and the declaration beside it."""

    def __init__(self, folder: Path, content: str | bytes, declared: str = "") -> None:
        self.path = folder / "prices.csv"
        self.path.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.declare(declared)

    def declare(self, declared: str) -> None:
        self.path.with_name(f"{self.path.name}.toml").write_text(declared)

    def records(self) -> list[RawRecord]:
        source = CsvFiles(path="unused", rows_per_page=100)
        return [record for page in source.saved_pages(self.path) for record in page.records]

    def reading(self) -> FileReading:
        """How the file is read, as its last page says."""
        source = CsvFiles(path="unused", rows_per_page=100)
        *_, last = source.saved_pages(self.path)
        assert last.file is not None
        return last.file

    def observed(self) -> list[Observation]:
        """What its rows say, each read from its stored payload alone; none is refused."""
        checked = [_check(record) for record in self.records()]
        assert [each for each in checked if not isinstance(each, Observation)] == []
        return checked

    def prices(self) -> list[str]:
        return [str(each.price_usd) for each in self.observed()]

    def reasons(self) -> list[Sequence[str]]:
        """Why each of its rows is refused; an empty list for one that is not."""
        checked = [_check(record) for record in self.records()]
        return [[] if isinstance(each, Observation) else each.reasons for each in checked]

    def refusal(self) -> SourceError:
        with pytest.raises(SourceError) as caught:
            self.records()
        return caught.value

    def asked(self) -> dict[str, Any]:
        """The declaration that the refusal shows."""
        error = self.refusal()
        assert error.code == "undeclared", error
        return tomllib.loads(str(error).split("\n\n", 1)[1])


def _check(record: RawRecord) -> Any:
    if record.document is not None:
        assert msgspec.json.decode(record.payload) == record.document
    return check(CsvFiles(path="", rows_per_page=1), record, datetime.now(UTC))
