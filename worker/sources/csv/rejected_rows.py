"""Read rejected rows of CSV files again from their stored payloads."""

from typing import Any

from shared.model.records import VALUES, RawRecord
from worker.sources.csv.cells.columns import find_columns
from worker.sources.csv.cells.numbers import has_ambiguous_mark
from worker.sources.csv.records import MISFIT
from worker.sources.json.records import read_record


def read_rejected_row(payload: bytes, position: str) -> RawRecord | None:
    """Read a rejected row again; None if the bytes could not be split into the file's columns.

    Of such a row only the bytes of its line are stored. The file must be corrected and read again.
    """
    record = read_record(payload, position)
    document = record.document or {}
    row, declared = document.get("row"), document.get("declared") or {}
    if not isinstance(row, dict) or not isinstance(declared, dict):
        return None
    ambiguous = [] if "decimal" in declared else _find_ambiguous(row, declared)
    if ambiguous:
        defect = (
            f"{ambiguous[0]}: the comma in {row[ambiguous[0]]!r} may be a decimal mark or not; "
            "declare decimal, and read the file again"
        )
        return RawRecord(payload, position, record.document, defect)
    if misfit := document.get(MISFIT):
        defect = f"{misfit}; read the file again"
        return RawRecord(payload, position, record.document, defect)
    return record


def _find_ambiguous(row: dict[str, Any], declared: dict[str, Any]) -> list[str]:
    """Return the columns whose comma is ambiguous; the delimiter of the file is not stored."""
    headers = find_columns(list(row), declared).headers
    columns = [headers[field] for field in VALUES if field in headers]
    return [name for name in columns if has_ambiguous_mark(str(row.get(name, "")))]
