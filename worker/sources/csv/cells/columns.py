"""Which column of a CSV file holds which field: by name, as declared, or to be asked about.

A header that names dollars (`price_usd`) is known to hold them. One that names no currency
(`Close`, `Marketcap`) holds a known figure in a currency that must be declared. One that names
another currency is not read.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from shared.model.records import VALUES
from worker.sources.csv.cells.names import (
    DOLLAR,
    FIELDS,
    IN_DOLLARS,
    IN_SOME_CURRENCY,
    STABLECOINS,
    SUPPLIES,
    WITHOUT_CURRENCY,
    currency_of,
    plain,
)


@dataclass(frozen=True, slots=True)
class Question:
    """What only a declaration can say: the line to write, and why it is asked for.

    `value` is what it most likely is, or empty where only the file's owner can tell.
    """

    table: Literal["columns", "values"] | None
    key: str
    value: Any
    why: str


def toml_line(key: str, value: Any, table: str | None = None) -> str:
    """Write one key of a declaration, in a message behind the name of its table."""
    line = f"{key} = {json.dumps(value, ensure_ascii=False)}"
    return f"[{table}] {line}" if table else line


@dataclass(frozen=True, slots=True)
class Columns:
    """The header under which each field stands, and what is left to declare.

    `choices` are the headers of each field for which more than one column has a known name.
    """

    headers: Mapping[str, str]
    questions: Sequence[Question]
    choices: Mapping[str, Sequence[str]]


def find_columns(headers: Sequence[str], declared: Mapping[str, Any]) -> Columns:
    """Match headers to fields: as declared, else by name; ask where neither settles it."""
    said: Mapping[str, str] = declared.get("columns", {})
    named = {field: _as_written(name, headers) for field, name in said.items()}
    constants = declared.get("values", {})
    taken = {*named.values(), *(_as_written(name, headers) for name in declared.get("ignore", ()))}
    free = [header for header in headers if header not in taken]
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
                why = f"there is no column {named[field]!r}, but {listed(headers)}"
                questions.append(Question("columns", field, "", why))
            continue
        candidates = candidates_for(field, free)
        if len(candidates) == 1:
            found[field] = candidates[0]
        elif candidates:
            choices[field] = candidates
            why = f"which one of {listed(candidates)}"
            questions.append(Question("columns", field, candidates[0], why))
    asked = {question.key for question in questions}
    questions += _absences(found, constants, asked, headers)
    return Columns(found, questions, choices)


def _as_written(name: str, headers: Sequence[str]) -> str:
    """Find the header that is meant by a declared name: spaces around it do not count."""
    if name in headers:
        return name
    return next((header for header in headers if header.strip() == name.strip()), name)


def candidates_for(field: str, headers: Sequence[str]) -> list[str]:
    """Find the headers that may hold the field: those that name dollars, else the others."""
    for table in (IN_DOLLARS, IN_SOME_CURRENCY, WITHOUT_CURRENCY):
        if candidates := [header for header in headers if plain(header) in table.get(field, ())]:
            return candidates
    return []


def foreign_columns(
    found: Mapping[str, str], declared: Mapping[str, Any]
) -> list[tuple[str, str, str]]:
    """Find the columns of money whose headers name another currency: field, header, currency."""
    dollars = {DOLLAR, *declared.get("as_usd", ())}
    return [
        (field, header, currency)
        for field, header in found.items()
        if field in VALUES and field not in SUPPLIES
        for currency in (currency_of(header),)
        if currency is not None and currency not in dollars
    ]


def listed(headers: Sequence[str]) -> str:
    return ", ".join(map(repr, headers))


def _absences(
    found: Mapping[str, str],
    constants: Mapping[str, str],
    asked: set[str],
    headers: Sequence[str],
) -> list[Question]:
    told = {*found, *constants, *asked}
    questions = []
    if told.isdisjoint(VALUES):
        why = f"no column is known to be a price or another value; there are {listed(headers)}"
        questions.append(Question("columns", "price_usd", "", why))
    examples = {
        "symbol": 'such as "BTC"; or under [columns] the column that has it',
        "name": 'such as "Bitcoin"; or under [columns] the column that has it',
        "observed_at": 'such as "2024-05-01T00:00:00Z"; or under [columns] the column that has it',
    }
    questions += [
        Question("values", field, "", f"no column is known to say it; {example}")
        for field, example in examples.items()
        if field not in told
    ]
    return questions


def stablecoins_of(columns: Sequence[tuple[str, str, str]]) -> list[str]:
    """Name the stablecoins among the currencies of foreign columns, each once."""
    return list(dict.fromkeys(each[2] for each in columns if each[2] in STABLECOINS))


def count_as_dollars(coins: Iterable[str], why: str, counted: Iterable[str] = ()) -> Question:
    """Ask whether stablecoins count as dollars, as those counted do; they may not."""
    named = list(coins)
    told = json.dumps([*counted, *named])
    why = f"{told} if {named[0]} is to count as a US dollar: {why}"
    return Question(None, "as_usd", list(counted), why)
