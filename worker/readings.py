"""How the files of a run were read, and what of their rows was not: for people, and for the log."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import structlog

from shared.records import FileReading, Observation, RawRecord, Reject

_VALUE = re.compile(r"^([^:]*: [^:]*):.*\Z", re.DOTALL)
_QUOTED = re.compile(r"'[^']*'")
_MOST_REASONS = 1000
"""Kinds of reasons that are counted; a kind that comes later is rare."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Counted:
    """How often something was seen, and where first."""

    count: int
    first: str


class Readings:
    """Collects over one run what a person should know of how its records were read."""

    def __init__(self) -> None:
        self._files: dict[str, FileReading] = {}
        self._without_value: dict[str, _Counted] = {}
        self._unread: dict[str, _Counted] = {}
        self.unread_records = 0
        self._prices: dict[str, _Counted] = {}
        self._zeros: dict[str, _Counted] = {}
        self._reasons: dict[str, _Counted] = {}

    def add_file(self, file: FileReading) -> None:
        """Note how the file of a page is read; the log says it once for each file."""
        if file.path not in self._files:
            log.info(
                "file columns matched",
                file=file.path,
                columns=dict(file.columns),
                left_out=list(file.left_out),
                settled=list(file.settled),
            )
        self._files[file.path] = file
        if file.without_value:
            first = file.first_without_value or file.name
            _count(self._without_value, file.path, first, file.without_value)

    def add_notes(self, record: RawRecord, said: Observation) -> None:
        """Note the values of a record that were not readable."""
        self.unread_records += 1
        for field, why in said.notes:
            _count(self._unread, field, f"{record.position}: {why}")

    def add_price(self, file: FileReading, record: RawRecord, said: Observation) -> None:
        """Count the prices of a file, and those that are 0."""
        if said.price_usd is None:
            return
        _count(self._prices, file.path, record.position)
        if not said.price_usd:
            _count(self._zeros, file.path, record.position)

    def add_reject(self, reject: Reject) -> None:
        """Count a refused record by each reason, without the value that the reason tells."""
        for reason in reject.reasons:
            kind = _VALUE.sub(r"\1", _QUOTED.sub("''", reason))
            if kind in self._reasons or len(self._reasons) < _MOST_REASONS:
                _count(self._reasons, kind, f"{reject.record.position}: {reason}")

    def common_reason(self) -> str | None:
        """Say the most common reason of the refused records by the first of them."""
        if not self._reasons:
            return None
        most = max(self._reasons.values(), key=lambda each: each.count)
        return f"{most.count} of them as {most.first}"

    def tell(self) -> None:
        """Log what was not read; how the files are read is in the log already."""
        for field, unread in self._unread.items():
            log.warning(
                "values were not readable", field=field, count=unread.count, first=unread.first
            )
        for path, rows in self._without_value.items():
            log.info("rows without a value left out", file=path, count=rows.count, first=rows.first)

    def lines(self) -> Iterator[str]:
        """Say it all to a person, a line for each fact."""
        for path, file in self._files.items():
            columns = ", ".join(f"{field} = {name!r}" for field, name in file.columns.items())
            yield f"{file.name}: columns read: {columns or 'none'}"
            if file.left_out:
                yield f"{file.name}: columns left out: {', '.join(map(repr, file.left_out))}"
            yield from (f"{file.name}: {fact}" for fact in file.settled)
            if rows := self._without_value.get(path):
                yield (
                    f"{file.name}: {rows.count} rows without any value are no observations, the "
                    f"first is {rows.first}"
                )
            if path in self._zeros and self._zeros[path].count == self._prices[path].count:
                yield (
                    f"{file.name}: all {self._prices[path].count} prices are 0; if that stands for "
                    'no figure, declare zero_is_unknown = ["price_usd"]'
                )
        for field, unread in self._unread.items():
            yield f"{field}: {unread.count} values are not readable and null, first {unread.first}"


def say_revised(count: int, example: str | None) -> str | None:
    """Say how many records prevail over another of their instant; None where none does."""
    if not count:
        return None
    those = (
        "record prevails over another of its"
        if count == 1
        else "records prevail over another of their"
    )
    shown = f", such as {example}" if example else ""
    return f"{count} {those} instant from now on{shown}; the others stay in the history"


def _count(counted: dict[str, _Counted], key: str, first: str, more: int = 1) -> None:
    if key in counted:
        counted[key].count += more
    else:
        counted[key] = _Counted(more, first)
