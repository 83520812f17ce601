"""Where a file contradicts its declaration, or itself: such a file, or row, is refused.

A constant that holds for the whole file must not hide a column that says otherwise, two rows of one
coin at one instant must not differ, and a dollar must be a dollar.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from marshmallow import ValidationError

from shared.errors import SourceError
from shared.records import VALUES, Observation
from worker.sources.csv.columns import Columns, foreign_columns
from worker.sources.csv.names import STABLECOINS, WITHOUT_CURRENCY, is_dollars, plain
from worker.sources.csv.pairs import as_usd_hint, read_pair
from worker.sources.csv.schema import observe_row
from worker.sources.csv.times import Clock

_NAMING = ("id", "symbol", "name")
_PEGGED = {"usdt": ("tether",), "usdc": ("usd coin", "usdc", "usd-coin")}
"""Coins that have always cost about a dollar, by symbol, and how their names begin."""
_ABOUT_A_DOLLAR = (Decimal("0.5"), Decimal(2))


class Guard(NamedTuple):
    """A column whose cells must all say the same, for a constant says it of the whole file."""

    header: str
    field: str
    expected: str
    as_usd: frozenset[str]

    def defect(self, cells: Mapping[str, str]) -> str | None:
        cell = cells[self.header]
        if not cell.strip():
            return None
        if _name_of(cell) == self.expected:
            pair = read_pair(cell) if self.field == "symbol" else None
            if pair is None or is_dollars(pair.quote, self.as_usd):
                return None
            return (
                f"{self.header}: {cell!r} is priced in {pair.quote}, and only US dollars are read"
            )
        return (
            f"{self.header}: {cells[self.header]!r} contradicts [values] {self.field}, which holds "
            f"for the whole file; its other rows have {self.expected!r}"
        )


def require_dollars(columns: Columns, declared: Mapping[str, Any]) -> None:
    """Refuse a column of money whose header names another currency.

    Raises:
        SourceError: `declaration`.
    """
    for field, header, currency in foreign_columns(columns.headers, declared):
        if currency not in STABLECOINS:
            raise SourceError(
                f"{field}: the header {header!r} names {currency}, and only US dollars are read; "
                "declare a column in US dollars, or take it out",
                code="declaration",
            )


def find_guards(
    headers: Sequence[str],
    columns: Columns,
    declared: Mapping[str, Any],
    rows: Sequence[Mapping[str, str]],
) -> list[Guard]:
    """Find the columns that the declared constants could contradict, and compare them.

    Raises:
        SourceError: `declaration`, where the first rows do contradict one.
    """
    guards = []
    as_usd = frozenset(declared.get("as_usd", ()))
    for field, header in _compared(headers, columns, declared):
        cells = [row[header] for row in rows if row[header].strip()]
        names = list(dict.fromkeys(map(_name_of, cells)))
        if len(names) > 1:
            first, other = cells[0], next(c for c in cells if _name_of(c) == names[1])
            raise _contradicted(field, header, f"has {first!r} and {other!r}")
        if names:
            guards.append(Guard(header, field, names[0], as_usd))
    for field, header in _hidden(headers, columns, declared):
        said = declared["values"][field]
        cells = [row[header] for row in rows if row[header].strip()]
        for cell in cells:
            if not _agree(field, cell, said, declared):
                raise _contradicted(field, header, f"has {cell!r}, and {said!r} is declared")
        if cells:
            guards.append(Guard(header, field, _name_of(cells[0]), as_usd))
    return guards


def require_quotes_in_dollars(
    headers: Sequence[str], declared: Mapping[str, Any], rows: Sequence[Mapping[str, str]]
) -> None:
    """Refuse a file whose trading pairs, in a column that is not read, are priced in no dollars.

    Raises:
        SourceError: `declaration`.
    """
    if declared.get("pair_symbols") is False or "symbol" not in declared.get("values", {}):
        return
    as_usd = frozenset(declared.get("as_usd", ()))
    for header in (each for each in headers if plain(each) in WITHOUT_CURRENCY["symbol"]):
        pairs = [read_pair(row[header]) for row in rows if row[header].strip()]
        if not pairs or not all(pairs):
            continue
        foreign = next((p for p in pairs if p and not is_dollars(p.quote, as_usd)), None)
        if foreign:
            raise SourceError(
                f"{header!r} has trading pairs such as {foreign.base}/{foreign.quote}, and only US "
                f"dollars are read{as_usd_hint(foreign.quote)}",
                code="declaration",
            )


def require_one_value(documents: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Refuse a file in whose first rows one coin has several values at one instant.

    A few such rows among others are left to the run, which reports them. Rows that cannot be read
    are left to the run as well.

    Raises:
        SourceError: `differing_rows`; `declaration`, where a dollar coin costs no dollar.
    """
    at_instant: dict[tuple[str, Any], dict[tuple[Any, ...], int]] = defaultdict(dict)
    readable = 0
    for line, document in documents:
        try:
            said = observe_row(document)
        except ValidationError:
            continue
        readable += 1
        _require_peg(said, line)
        values = tuple(getattr(said, field) for field in VALUES)
        at_instant[said.external_id, said.observed_at].setdefault(values, line)
    differing = {key: found for key, found in at_instant.items() if len(found) > 1}
    if differing and 2 * sum(map(len, differing.values())) >= readable:
        (external_id, observed_at), found = next(iter(differing.items()))
        (one, first), (other, second) = list(found.items())[:2]
        field = next(i for i, _ in enumerate(VALUES) if one[i] != other[i])
        raise SourceError(
            f"lines {first} and {second} differ, though both are of {external_id!r} at "
            f"{observed_at:%Y-%m-%d %H:%M:%SZ}: {VALUES[field]} {one[field]} and {other[field]}. "
            "Declare the column that has their time, or what else tells them apart",
            code="differing_rows",
        )


def _require_peg(said: Observation, line: int) -> None:
    """Take a dollar coin that costs no dollar for a sign of another currency."""
    begins = _PEGGED.get(said.symbol.lower(), ())
    is_coin = said.name.lower().startswith(begins) if begins else False
    least, most = _ABOUT_A_DOLLAR
    if is_coin and said.price_usd is not None and not least <= said.price_usd <= most:
        raise SourceError(
            f"line {line}: {said.name} costs {said.price_usd}, so the prices of this file cannot "
            "be in US dollars, and no other currency is read",
            code="declaration",
        )


def _compared(
    headers: Sequence[str], columns: Columns, declared: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Pair constants with the columns that must say one thing while they hold.

    A constant name also stands against the column of symbols, and the other way round. What an
    ignored column of ids or times says is not compared: it may count rows.
    """
    constants = declared.get("values", {})
    for field in _NAMING:
        if field not in constants:
            continue
        for other in _NAMING:
            if other != field and other in columns.headers:
                yield field, columns.headers[other]
        for header in headers:
            if plain(header) in WITHOUT_CURRENCY[field] and _may_contradict(
                field, header, columns, declared
            ):
                yield field, header


def _may_contradict(field: str, header: str, columns: Columns, declared: Mapping[str, Any]) -> bool:
    if header in columns.headers.values():
        return False
    return field != "id" or header not in declared.get("ignore", ())


def _hidden(
    headers: Sequence[str], columns: Columns, declared: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Pair constants with the columns of their own kind that they hide, and that say one thing."""
    used = {*columns.headers.values(), *declared.get("ignore", ())}
    for field in (*_NAMING, "observed_at"):
        if field in declared.get("values", {}):
            for header in headers:
                if plain(header) in WITHOUT_CURRENCY[field] and header not in used:
                    yield field, header


def _agree(field: str, cell: str, said: str, declared: Mapping[str, Any]) -> bool:
    if field == "observed_at":
        clock = Clock.from_declared(declared)
        try:
            return clock.read(cell) == clock.read(said)
        except (ValueError, OverflowError):
            return False
    if cell.strip().isdecimal():  # another provider's number of it
        return True
    return _name_of(cell) == _name_of(said)


def _name_of(cell: str) -> str:
    """Reduce a name to what is compared: of a trading pair that is its coin."""
    pair = read_pair(cell)
    return (pair.base if pair else cell.strip()).lower()


def _contradicted(field: str, header: str, why: str) -> SourceError:
    return SourceError(
        f"[values] {field} holds for every row of the file, and the column {header!r} {why}; take "
        f"{field} out of [values], or ignore that column if it is of no concern",
        code="declaration",
    )
