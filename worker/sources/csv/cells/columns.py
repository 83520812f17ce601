"""Match the columns of a CSV file to fields, by header or by declaration.

A header that names dollars (`price_usd`) is read as dollars. A known header that names no currency
(`Close`, `Marketcap`) requires a declared currency. A header that names another currency is not
read.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from shared.model.records import VALUES
from worker.sources.csv.cells.headers import (
    DOLLAR,
    DOLLAR_HEADERS,
    FIELDS,
    MONEY_HEADERS,
    OTHER_HEADERS,
    STABLECOINS,
    SUPPLIES,
    currency_in_header,
    normalise_header,
)


@dataclass(frozen=True, slots=True)
class Question:
    """A key that must be declared, a suggested value, and the reason for asking.

    `value` is empty when no value can be suggested.
    """

    table: Literal["columns", "values"] | None
    key: str
    value: Any
    why: str


def toml_line(key: str, value: Any, table: str | None = None) -> str:
    """Format one key of a declaration; messages show its table before it."""
    line = f"{key} = {json.dumps(value, ensure_ascii=False)}"
    return f"[{table}] {line}" if table else line


@dataclass(frozen=True, slots=True)
class Columns:
    """The header of each field, and the keys that must still be declared.

    `choices` lists the candidate headers of each field that has more than one.
    """

    headers: Mapping[str, str]
    questions: Sequence[Question]
    choices: Mapping[str, Sequence[str]]


def find_columns(headers: Sequence[str], declared: Mapping[str, Any]) -> Columns:
    """Match headers to fields by declaration, then by known names.

    A field without exactly one matching column becomes a question.
    """
    declared_columns: Mapping[str, str] = declared.get("columns", {})
    named = {field: _find_header(name, headers) for field, name in declared_columns.items()}
    constants = declared.get("values", {})
    ignored = [_find_header(name, headers) for name in declared.get("ignore", ())]
    free = [header for header in headers if header not in {*named.values(), *ignored}]
    found: dict[str, str] = {}
    choices: dict[str, Sequence[str]] = {}
    questions: list[Question] = []
    for field in FIELDS:
        if field in constants:
            continue
        if field in named:
            if named[field] in headers:
                found[field] = named[field]
            else:
                why = f"no column {named[field]!r}; the columns are {quoted_list(headers)}"
                questions.append(Question("columns", field, "", why))
            continue
        candidates = find_candidates(field, free)
        if len(candidates) == 1:
            found[field] = candidates[0]
        elif candidates:
            choices[field] = candidates
            why = f"choose one of {quoted_list(candidates)}"
            questions.append(Question("columns", field, candidates[0], why))
    asked = {question.key for question in questions}
    questions += _ask_for_missing(found, constants, asked, headers)
    return Columns(found, questions, choices)


def _find_header(name: str, headers: Sequence[str]) -> str:
    """Find the header with a declared name; surrounding spaces are ignored."""
    if name in headers:
        return name
    return next((header for header in headers if header.strip() == name.strip()), name)


def find_candidates(field: str, headers: Sequence[str]) -> list[str]:
    """Return the headers that may hold a field; those that name dollars take precedence."""
    for table in (DOLLAR_HEADERS, MONEY_HEADERS, OTHER_HEADERS):
        if candidates := [
            header for header in headers if normalise_header(header) in table.get(field, ())
        ]:
            return candidates
    return []


def foreign_columns(
    found: Mapping[str, str], declared: Mapping[str, Any]
) -> list[tuple[str, str, str]]:
    """Return field, header and currency of money columns whose headers name another currency."""
    dollars = {DOLLAR, *declared.get("as_usd", ())}
    return [
        (field, header, currency)
        for field, header in found.items()
        if field in VALUES and field not in SUPPLIES
        for currency in (currency_in_header(header),)
        if currency is not None and currency not in dollars
    ]


def quoted_list(headers: Sequence[str]) -> str:
    return ", ".join(map(repr, headers))


def _ask_for_missing(
    found: Mapping[str, str],
    constants: Mapping[str, str],
    asked: set[str],
    headers: Sequence[str],
) -> list[Question]:
    covered = {*found, *constants, *asked}
    questions = []
    if covered.isdisjoint(VALUES):
        why = (
            "no column is recognised as a price or another value; the columns are "
            f"{quoted_list(headers)}"
        )
        questions.append(Question("columns", "price_usd", "", why))
    examples = {"symbol": "BTC", "name": "Bitcoin", "observed_at": "2024-05-01T00:00:00Z"}
    questions += [
        Question("values", field, "", _explain_missing(field, example))
        for field, example in examples.items()
        if field not in covered
    ]
    return questions


def _explain_missing(field: str, example: str) -> str:
    return (
        f'no column is recognised as {field}; enter a constant such as "{example}"; '
        "or declare its column under [columns]"
    )


def find_stablecoins(columns: Sequence[tuple[str, str, str]]) -> list[str]:
    """Return the distinct stablecoins among the currencies of `foreign_columns`."""
    return list(dict.fromkeys(each[2] for each in columns if each[2] in STABLECOINS))


def ask_as_usd(coins: Iterable[str], why: str, declared: Iterable[str] = ()) -> Question:
    """Ask whether stablecoins count as dollars; the suggestion keeps only those declared."""
    asked = list(coins)
    answer = json.dumps([*declared, *asked])
    why = f"{answer} to count {asked[0]} as a US dollar: {why}"
    return Question(None, "as_usd", list(declared), why)
