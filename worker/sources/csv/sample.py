"""What the first rows of a file show, and what they leave to be declared.

One row that fits answers for the others: a bad row among good ones is a reject, not a question. All
that is left open is asked at once; what is suggested for one field is taken to see what else is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import time

from shared.model.records import VALUES
from worker.sources.csv.cells.columns import Question, listed
from worker.sources.csv.cells.names import CURRENCY_SIGN
from worker.sources.csv.cells.numbers import can_be_number
from worker.sources.csv.cells.times import (
    EXCEL,
    Clock,
    find_day_orders,
    has_lost_digits,
    is_day_or_month_first,
    read_serial,
)
from worker.sources.csv.first_rows import FirstRows
from worker.sources.csv.questions.currencies import (
    ask_currency,
    ask_of_currency_column,
    ask_of_stablecoins,
)
from worker.sources.csv.questions.currency_columns import ask_of_hidden_currency
from worker.sources.csv.questions.decimal_mark import (
    Mark,
    find_proofs,
    find_unclear,
    has_unclear_points,
)
from worker.sources.csv.questions.ids import ask_of_id
from worker.sources.csv.questions.pair_questions import ask_of_pairs
from worker.sources.csv.questions.suggestions import (
    may_have_price,
    refine_choice,
    suggest_naming,
    suggest_price,
    suggest_time,
)
from worker.sources.csv.questions.volumes import ask_of_volume

SAMPLE_ROWS = 20


@dataclass(frozen=True, slots=True)
class Sample:
    """What the first rows say: what is left to ask, and what they settled.

    `decimal` is the mark that they prove, `date_format` the order of day and month. With
    `has_unclear_points` a single point may separate thousands, with `has_pairs` the symbols are
    trading pairs. `settled` says it to a person.
    """

    questions: Sequence[Question]
    decimal: Mark | None = None
    date_format: str | None = None
    has_unclear_points: bool = False
    has_pairs: bool = False
    settled: Sequence[str] = ()


def read_sample(first: FirstRows) -> Sample:
    """Answer from the first rows what the header leaves open, and ask for the rest."""
    columns, declared = first.columns, first.declared
    questions = [refine_choice(each, first) for each in columns.questions]
    questions = [suggest_time(each, first) for each in questions]
    questions = [suggest_naming(each, first) for each in questions]
    questions = suggest_price(questions, first)
    questions = _replace(questions, ask_of_currency_column(first))
    questions = _replace(questions, ask_of_hidden_currency(first))
    found = {
        **columns.headers,
        **{each.key: str(each.value) for each in questions if each.table == "columns"},
    }
    if found.get("currency") == found.get("symbol"):
        found.pop("currency", None)
    found = {field: header for field, header in found.items() if header}
    settled: list[str] = []
    date_format, asked = _date_format(found.get("observed_at"), first, settled)
    questions += asked
    settled += _time_of_days(found.get("observed_at"), first, date_format)
    volume = ask_of_volume(first, found, date_format)
    found |= {each.key: str(each.value) for each in volume if each.table == "columns"}
    questions += volume
    mark, asked = _decimal(found, first, settled)
    questions += asked
    if "name" in found.keys() - declared.get("columns", {}).keys() and "symbol" not in found:
        questions += _name(found["name"], first)
    questions += ask_of_id(first)
    questions += _price(columns.headers.get("price_usd"), first)
    questions += ask_of_stablecoins(first, found)
    has_pairs, asked = ask_of_pairs(columns.headers.get("symbol"), first, settled)
    if not has_pairs and not asked:  # pairs say what the price is in
        is_price_open = may_have_price(first) and any(
            each.key == "price_usd" and not each.value for each in questions
        )
        questions += ask_currency(first, found, is_price_open=is_price_open)
    return Sample(
        [*questions, *asked],
        mark,
        date_format,
        has_unclear_points(first.delimiter),
        has_pairs,
        settled,
    )


def _replace(questions: Sequence[Question], answers: Sequence[Question]) -> list[Question]:
    """Put a column that may hold a field in place of the question for it."""
    keys = {each.key for each in answers if each.table == "columns"}
    return [*(each for each in questions if each.key not in keys), *answers]


def merge_ignored(questions: Sequence[Question]) -> list[Question]:
    """Make one question of those that suggest to ignore columns: there is one such key."""
    ignoring = [each for each in questions if each.key == "ignore"]
    if len(ignoring) < 2:  # noqa: PLR2004 -- nothing to merge
        return list(questions)
    headers = dict.fromkeys(header for each in ignoring for header in each.value)
    merged = replace(ignoring[0], value=list(headers), why="; ".join(each.why for each in ignoring))
    return [*(each for each in questions if each.key != "ignore"), merged]


def _price(header: str | None, first: FirstRows) -> list[Question]:
    """Ask for another column where no cell of the price's can be read."""
    if header is None:
        return []
    cells = first.known_cells(header)
    if not cells or any(can_be_number(cell) for cell in cells):
        return []
    if (sign := CURRENCY_SIGN.search(cells[0])) and sign[0] != "$":
        why = f"{header!r} has {cells[0][:80]!r}, and only US dollars are read"
        return [Question("columns", "price_usd", "", why)]
    others = [each for each in first.headers if any(map(can_be_number, first.cells(each)))]
    numbers = f"; numbers are in {listed(others)}" if others else ""
    why = f"{header!r} has {cells[0][:80]!r}, which is no number{numbers}"
    return [Question("columns", "price_usd", "", why)]


def _date_format(
    header: str | None, first: FirstRows, settled: list[str]
) -> tuple[str | None, list[Question]]:
    """Find the order of day and month that the cells prove; ask where they prove none."""
    if header is None or "date_format" in first.declared:
        return None, []
    clock = Clock.from_declared(first.declared)
    told = first.cells(header)
    if not told or any(clock.can_read(cell) for cell in told):
        return None, []
    if unclear := next(filter(is_day_or_month_first, told), None):
        orders = find_day_orders(told)
        if len(orders) == 1:
            ((order, proof),) = orders.items()
            settled.append(f"its dates are {order}, as {header!r} has {proof[:80]!r}")
            return order, []
        cells = " and ".join(repr(cell[:80]) for cell in orders.values()) or repr(unclear[:80])
        why = f'"day-first" or "month-first": {header!r} has {cells}'
        return None, [Question(None, "date_format", "", why)]
    return None, [_odd_time(header, told[0])]


def _time_of_days(header: str | None, first: FirstRows, date_format: str | None) -> list[str]:
    """Say at which time dates without one are taken to be."""
    if header is None or "time_of_day" in first.declared:
        return []
    clock = Clock.from_declared(first.declared)
    clock = replace(clock, date_format=clock.date_format or date_format)
    noon = replace(clock, time_of_day=time(12))
    cells = [cell for cell in first.cells(header) if clock.can_read(cell) and noon.can_read(cell)]
    if all(clock.read(cell) == noon.read(cell) for cell in cells):
        return []
    zone = first.declared.get("timezone", "UTC")
    return [
        f"dates without a time under {header!r} count as 00:00:00 {zone}; time_of_day tells another"
    ]


def _odd_time(header: str, cell: str) -> Question:
    if serial := read_serial(cell):
        why = f"if {cell!r} of {header!r} is Excel's number of the day {serial.date()}"
        return Question(None, "date_format", EXCEL, why)
    if has_lost_digits(cell):
        why = f"of another column: {header!r} has {cell!r}, an epoch time that lost its digits"
        return Question("columns", "observed_at", "", why)
    why = f'a strptime pattern, such as "%Y%m%d": {header!r} has {cell[:80]!r}'
    return Question(None, "date_format", "", why)


def _decimal(
    found: Mapping[str, str], first: FirstRows, settled: list[str]
) -> tuple[Mark | None, list[Question]]:
    """Find the decimal mark that the cells of the file prove; ask where one may be either."""
    if "decimal" in first.declared:
        return None, []
    values = [found[field] for field in VALUES if field in found]
    others = [header for header in first.headers if header not in found.values()]
    proofs = find_proofs(first.rows, values, others)
    unclear = find_unclear(first.rows, values, points=has_unclear_points(first.delimiter))
    if len(proofs) == 1:
        ((mark, proof),) = proofs.items()
        if unclear or mark == "comma":
            settled.append(f"the decimal mark is a {mark}, as {proof.header!r} has {proof.cell!r}")
        return mark, []
    if unclear is None:
        return None, []
    why = f'"comma" or "point": {unclear[1][:80]!r} under {unclear[0]!r} can be read with either'
    if proofs:
        both = " and ".join(
            f"a {mark} in {each.cell!r} under {each.header!r}" for mark, each in proofs.items()
        )
        why = f"{why}, and the file has both marks: {both}"
    return None, [Question(None, "decimal", "", why)]


def _name(header: str, first: FirstRows) -> list[Question]:
    cells = [row[header] for row in first.rows]
    if not cells or not all(cell.strip().isdecimal() for cell in cells):
        return []
    why = f'such as "Bitcoin": {header!r} has {cells[0]!r}, which is a number'
    return [Question("values", "name", "", why)]
