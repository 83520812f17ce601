"""Rows of CSV files that were refused, read again of what was kept of them."""

from typing import Any

from shared.model.records import VALUES, RawRecord
from worker.sources.csv.cells.columns import find_columns
from worker.sources.csv.cells.numbers import decimal_mark_is_unclear
from worker.sources.csv.records import MISFIT
from worker.sources.json_records import read_record


def kept_row(payload: bytes, position: str) -> RawRecord | None:
    """Read a refused row again; None where it never was a row under its file's header.

    Of such a one the bytes of its line were kept: the file must be mended, and read again.
    """
    record = read_record(payload, position)
    document = record.document or {}
    row, declared = document.get("row"), document.get("declared") or {}
    if not isinstance(row, dict) or not isinstance(declared, dict):
        return None
    unclear = [] if "decimal" in declared else _unclear(row, declared)
    if unclear:
        defect = (
            f"{unclear[0]}: the comma in {row[unclear[0]]!r} may be a decimal mark or not; declare "
            "decimal, and let the file be read again"
        )
        return RawRecord(payload, position, record.document, defect)
    if misfit := document.get(MISFIT):
        defect = f"{misfit}; let the file be read again"
        return RawRecord(payload, position, record.document, defect)
    return record


def _unclear(row: dict[str, Any], declared: dict[str, Any]) -> list[str]:
    """Name the columns of values whose comma could be either; the delimiter is not kept."""
    headers = find_columns(list(row), declared).headers
    named = [headers[field] for field in VALUES if field in headers]
    return [name for name in named if decimal_mark_is_unclear(str(row.get(name, "")))]
