"""What the first rows of a file decide for all of its rows, and must keep deciding as it grows."""

from collections.abc import Mapping
from typing import Any

from worker.sources.csv.cells.columns import Question
from worker.sources.csv.sample import Sample


def row_meaning(sample: Sample) -> dict[str, Any]:
    """Give what decides what a row means, as the cursor stores it; defaults are left out."""
    comma = {"decimal": "comma"} if sample.decimal == "comma" else {}
    dates = {"date_format": sample.date_format} if sample.date_format else {}
    return {**comma, **dates, **({"pair_symbols": True} if sample.has_pairs else {})}


def find_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Question]:
    """Ask for what rows added to a file contradict: earlier rows were read otherwise.

    A decimal comma that is proven later is no question: the file is read again with it.
    """
    questions = []
    if "decimal" in before and "decimal" not in now:
        why = '"comma" or "point": a comma was proven, and rows added since prove a point'
        questions.append(Question(None, "decimal", "", why))
    order = before.get("date_format")
    if order is not None and order != now.get("date_format"):
        why = f"{order!r} was proven and read so far; with the rows added since it is not"
        questions.append(Question(None, "date_format", "", why))
    if before.get("pair_symbols") != now.get("pair_symbols"):
        were, are = ("are not", "all are") if "pair_symbols" in now else ("all were", "are not")
        why = (
            f"true or false: with the rows added since, the symbols {are} trading pairs; before "
            f"them they {were}"
        )
        questions.append(Question(None, "pair_symbols", "", why))
    return questions
