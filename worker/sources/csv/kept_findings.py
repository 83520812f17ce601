"""The findings of the first rows that apply to all rows, and must still hold as the file grows."""

from collections.abc import Mapping
from typing import Any

from worker.sources.csv.cells.columns import Question
from worker.sources.csv.findings import Findings


def row_meaning(findings: Findings) -> dict[str, Any]:
    """Return the findings that affect the meaning of rows, as the cursor stores them."""
    comma = {"decimal": "comma"} if findings.decimal == "comma" else {}
    dates = {"date_format": findings.date_format} if findings.date_format else {}
    return {**comma, **dates, **({"pair_symbols": True} if findings.has_pairs else {})}


def find_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Question]:
    """Ask about findings that added rows contradict; earlier rows were read with those findings.

    A decimal comma that is proven later is not a question: the file is read again with it.
    """
    questions = []
    if "decimal" in before and "decimal" not in now:
        why = '"comma" or "point": the first rows proved a comma, and the added rows prove a point'
        questions.append(Question(None, "decimal", "", why))
    order = before.get("date_format")
    if order is not None and order != now.get("date_format"):
        why = f"rows were read as {order!r}, which the added rows contradict"
        questions.append(Question(None, "date_format", "", why))
    if before.get("pair_symbols") != now.get("pair_symbols"):
        earlier, later = ("are not", "are") if "pair_symbols" in now else ("are", "are not")
        why = (
            f"true or false: the symbols of earlier rows {earlier} trading pairs; with the added "
            f"rows they {later}"
        )
        questions.append(Question(None, "pair_symbols", "", why))
    return questions
