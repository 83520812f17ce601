"""What the first rows of a file prove, and what must still be declared.

One row that fits is enough: a bad row among good ones is rejected, and does not lead to a question.
All questions are asked at once. A suggestion for one field is assumed to hold when other questions
are derived.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from shared.model.records import VALUES
from worker.sources.csv.cells.columns import Question, quoted_list
from worker.sources.csv.cells.headers import CURRENCY_SIGN
from worker.sources.csv.cells.numbers import can_be_number
from worker.sources.csv.cells.times import (
    EXCEL,
    TimeParser,
    find_day_orders,
    has_lost_digits,
    is_day_or_month_first,
    parse_excel_date,
)
from worker.sources.csv.first_rows import FirstRows
from worker.sources.csv.questions.candles import ask_close_after, suggest_close_time
from worker.sources.csv.questions.coin_columns import suggest_naming
from worker.sources.csv.questions.currencies import (
    ask_about_currency_column,
    ask_about_stablecoins,
    ask_currency,
)
from worker.sources.csv.questions.currency_columns import ask_about_hidden_currency
from worker.sources.csv.questions.decimal_mark import (
    Mark,
    find_ambiguous,
    find_proofs,
    has_ambiguous_points,
)
from worker.sources.csv.questions.ids import ask_about_id
from worker.sources.csv.questions.pair_questions import ask_about_pairs, ask_about_replaced_pairs
from worker.sources.csv.questions.suggestions import (
    may_have_price,
    refine_choice,
    suggest_price,
    suggest_time,
)
from worker.sources.csv.questions.volumes import ask_about_volume

FIRST_ROWS = 20


@dataclass(frozen=True, slots=True)
class Findings:
    """The findings of the first rows, and the questions that they leave open.

    `decimal` is the proven decimal mark, `date_format` the proven order of day and month. With
    `has_ambiguous_points`, a single point may separate thousands. With `has_pairs`, the symbols are
    trading pairs. `described` tells the user what was proven or assumed.
    """

    questions: Sequence[Question]
    decimal: Mark | None = None
    date_format: str | None = None
    has_ambiguous_points: bool = False
    has_pairs: bool = False
    described: Sequence[str] = ()


def derive_findings(first: FirstRows) -> Findings:
    """Derive from the first rows what the header leaves open, and ask for the rest."""
    columns, declared = first.columns, first.declared
    questions = [refine_choice(each, first) for each in columns.questions]
    questions = [suggest_time(each, first) for each in questions]
    questions = _replace(questions, suggest_close_time(questions, first))
    questions = [suggest_naming(each, first) for each in questions]
    questions = suggest_price(questions, first)
    questions = _replace(questions, ask_about_currency_column(first))
    questions = _replace(questions, ask_about_hidden_currency(first))
    found = {
        **columns.headers,
        **{each.key: str(each.value) for each in questions if each.table == "columns"},
    }
    if found.get("currency") == found.get("symbol"):
        found.pop("currency", None)
    found = {field: header for field, header in found.items() if header}
    described: list[str] = []
    date_format, asked = _find_date_format(found.get("observed_at"), first, described)
    questions += asked
    described += _describe_dates_without_time(found.get("observed_at"), first, date_format)
    questions += ask_close_after(first, found, date_format)
    volume = ask_about_volume(first, found, date_format)
    found |= {each.key: str(each.value) for each in volume if each.table == "columns"}
    questions += volume
    mark, asked = _find_decimal_mark(found, first, described)
    questions += asked
    if "name" in found.keys() - declared.get("columns", {}).keys() and "symbol" not in found:
        questions += _ask_about_name(found["name"], first)
    questions += ask_about_id(first)
    questions += _ask_about_price(columns.headers.get("price_usd"), first)
    questions += ask_about_stablecoins(first, found)
    has_pairs, asked = ask_about_pairs(found.get("symbol"), first, described)
    has_replaced_pairs, replaced = ask_about_replaced_pairs(first)
    asked += replaced
    # Pairs name the currency of the price.
    if not has_pairs and not has_replaced_pairs and not asked:
        is_price_open = may_have_price(first) and any(
            each.key == "price_usd" and not each.value for each in questions
        )
        questions += ask_currency(first, found, is_price_open=is_price_open)
    return Findings(
        [*questions, *asked],
        mark,
        date_format,
        has_ambiguous_points(first.delimiter),
        has_pairs,
        described,
    )


def _replace(questions: Sequence[Question], answers: Sequence[Question]) -> list[Question]:
    """Replace questions about a field by suggestions of a column for it."""
    keys = {each.key for each in answers if each.table == "columns"}
    return [*(each for each in questions if each.key not in keys), *answers]


def merge_ignored(questions: Sequence[Question]) -> list[Question]:
    """Merge the questions that suggest to ignore columns: a declaration has one such key."""
    ignoring = [each for each in questions if each.key == "ignore"]
    if len(ignoring) < 2:  # noqa: PLR2004 -- nothing to merge
        return list(questions)
    headers = dict.fromkeys(header for each in ignoring for header in each.value)
    merged = replace(ignoring[0], value=list(headers), why="; ".join(each.why for each in ignoring))
    return [*(each for each in questions if each.key != "ignore"), merged]


def _ask_about_price(header: str | None, first: FirstRows) -> list[Question]:
    """Ask for another column if no cell of the price column is readable."""
    if header is None:
        return []
    cells = first.value_cells(header)
    if not cells or any(can_be_number(cell) for cell in cells):
        return []
    if (sign := CURRENCY_SIGN.search(cells[0])) and sign[0] != "$":
        why = f"{header!r} has {cells[0][:80]!r}, and only US dollars are read"
        return [Question("columns", "price_usd", "", why)]
    others = [each for each in first.headers if any(map(can_be_number, first.cells(each)))]
    numbers = f"; columns with numbers: {quoted_list(others)}" if others else ""
    why = f"{header!r} has {cells[0][:80]!r}, which is not a number{numbers}"
    return [Question("columns", "price_usd", "", why)]


def _find_date_format(
    header: str | None, first: FirstRows, described: list[str]
) -> tuple[str | None, list[Question]]:
    """Find the order of day and month that the cells prove, or ask for it."""
    if header is None or "date_format" in first.declared:
        return None, []
    parser = TimeParser.from_declaration(first.declared)
    cells = first.cells(header)
    if not cells or any(parser.can_parse(cell) for cell in cells):
        return None, []
    if ambiguous := next(filter(is_day_or_month_first, cells), None):
        orders = find_day_orders(cells)
        if len(orders) == 1:
            ((order, proof),) = orders.items()
            described.append(f"dates are {order}, because {header!r} has {proof[:80]!r}")
            return order, []
        shown = " and ".join(repr(cell[:80]) for cell in orders.values()) or repr(ambiguous[:80])
        why = f'"day-first" or "month-first": {header!r} has {shown}'
        return None, [Question(None, "date_format", "", why)]
    return None, [_ask_about_time(header, cells[0])]


def _describe_dates_without_time(
    header: str | None, first: FirstRows, date_format: str | None
) -> list[str]:
    """Tell the user which time of day is assumed for dates without a time."""
    if header is None or not first.declared.keys().isdisjoint({"time_of_day", "close_after"}):
        return []
    parser = TimeParser.from_declaration(first.declared)
    parser = replace(parser, date_format=parser.date_format or date_format)
    if not any(map(parser.is_date, first.cells(header))):
        return []
    zone = first.declared.get("timezone", "UTC")
    assumed = f"dates without a time under {header!r} count as 00:00:00 {zone}"
    return [f"{assumed}; declare time_of_day to change it"]


def _ask_about_time(header: str, cell: str) -> Question:
    if date := parse_excel_date(cell):
        why = f"if {cell!r} under {header!r} is Excel's number for {date.date()}"
        return Question(None, "date_format", EXCEL, why)
    if has_lost_digits(cell):
        why = f"another column: {header!r} has {cell!r}, an epoch time that lost digits"
        return Question("columns", "observed_at", "", why)
    why = f'a strptime pattern such as "%Y%m%d": {header!r} has {cell[:80]!r}'
    return Question(None, "date_format", "", why)


def _find_decimal_mark(
    found: Mapping[str, str], first: FirstRows, described: list[str]
) -> tuple[Mark | None, list[Question]]:
    """Find the decimal mark that the cells prove; ask for it if a value is ambiguous."""
    if "decimal" in first.declared:
        return None, []
    values = [found[field] for field in VALUES if field in found]
    others = [header for header in first.headers if header not in found.values()]
    proofs = find_proofs(first.rows, values, others)
    ambiguous = find_ambiguous(first.rows, values, points=has_ambiguous_points(first.delimiter))
    if len(proofs) == 1:
        ((mark, proof),) = proofs.items()
        if ambiguous or mark == "comma":
            described.append(
                f"the decimal mark is a {mark}, because {proof.header!r} has {proof.cell!r}"
            )
        return mark, []
    if ambiguous is None:
        return None, []
    header, cell = ambiguous
    why = f'"comma" or "point": {cell[:80]!r} under {header!r} can be read with either'
    if proofs:
        both = " and ".join(
            f"a {mark} in {each.cell!r} under {each.header!r}" for mark, each in proofs.items()
        )
        why = f"{why}, and the file has both marks: {both}"
    return None, [Question(None, "decimal", "", why)]


def _ask_about_name(header: str, first: FirstRows) -> list[Question]:
    cells = [row[header] for row in first.rows]
    if not cells or not all(cell.strip().isdecimal() for cell in cells):
        return []
    why = f'such as "Bitcoin": {header!r} has {cells[0]!r}, which is a number'
    return [Question("values", "name", "", why)]
