"""Collect how the files of a run were read, and which values were not readable."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath

import structlog

from shared.model.records import FileReading, Observation, RawRecord, Reject

_VALUE = re.compile(r"^([^:]*: [^:]*):.*\Z", re.DOTALL)
_QUOTED = re.compile(r"'[^']*'")
_MOST_REASONS = 1000
"""Number of kinds of reasons that are counted; later kinds are rare."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Counted:
    """A number of occurrences, and the first of them."""

    count: int
    first: str


class Readings:
    """Collects, over one run, what the operator should know about how records were read."""

    def __init__(self) -> None:
        self._files: dict[str, FileReading] = {}
        self._without_value: dict[str, _Counted] = {}
        self._unread: dict[str, _Counted] = {}
        self.unread_records = 0
        self._prices: dict[str, _Counted] = {}
        self._zeros: dict[str, _Counted] = {}
        self._reasons: dict[str, _Counted] = {}

    def add_file(self, file: FileReading) -> None:
        """Record how the file of a page is read; logged once for each file."""
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

    def add_notes(self, record: RawRecord, observation: Observation) -> None:
        """Count the unreadable values of a record."""
        self.unread_records += 1
        for field, why in observation.notes:
            _count(self._unread, field, f"{record.position}: {why}")

    def add_price(self, file: FileReading, record: RawRecord, observation: Observation) -> None:
        """Count the prices of a file, and those that are 0."""
        if observation.price_usd is None:
            return
        _count(self._prices, file.path, record.position)
        if not observation.price_usd:
            _count(self._zeros, file.path, record.position)

    def add_reject(self, reject: Reject) -> None:
        """Count a rejected record by each kind of reason: the reason without the value in it."""
        for reason in reject.reasons:
            kind = _VALUE.sub(r"\1", _QUOTED.sub("''", reason))
            if kind in self._reasons or len(self._reasons) < _MOST_REASONS:
                _count(self._reasons, kind, f"{reject.record.position}: {reason}")

    def common_reason(self) -> str | None:
        """Describe the most frequent reason for rejects by its first record."""
        if not self._reasons:
            return None
        most = max(self._reasons.values(), key=lambda each: each.count)
        return f"{most.count} of them as in {most.first}"

    def log_unread(self) -> None:
        """Log what was not read; the columns of files were logged by `add_file`."""
        for field, unread in self._unread.items():
            log.warning(
                "values were not readable", field=field, count=unread.count, first=unread.first
            )
        for path, rows in self._without_value.items():
            log.info("rows without a value left out", file=path, count=rows.count, first=rows.first)

    def lines(self) -> Iterator[str]:
        """Yield the collected facts as messages for the operator."""
        labels = _labels(self._files)
        for path, file in self._files.items():
            yield from (f"{labels[path]}: {fact}" for fact in self._facts(file))
        for field, unread in self._unread.items():
            verb = "value is" if unread.count == 1 else "values are"
            yield f"{field}: {unread.count} {verb} not readable and null, first {unread.first}"

    def _facts(self, file: FileReading) -> Iterator[str]:
        columns = ", ".join(f"{field} = {name!r}" for field, name in file.columns.items())
        yield f"columns read: {columns or 'none'}"
        if file.left_out:
            yield f"columns left out: {', '.join(map(repr, file.left_out))}"
        yield from file.settled
        if rows := self._without_value.get(file.path):
            noun = "row" if rows.count == 1 else "rows"
            yield f"{rows.count} {noun} without any value left out; the first is {rows.first}"
        zeros, prices = self._zeros.get(file.path), self._prices.get(file.path)
        if zeros and prices and zeros.count == prices.count:
            yield (
                f"every price is 0 ({prices.count}); if 0 means unknown, declare "
                'zero_is_unknown = ["price_usd"]'
            )
        if file.is_unended:
            yield (
                "the last line has no line end and was read as a complete row; if it was still "
                "being written, import the file again"
            )


def _labels(files: Mapping[str, FileReading]) -> Mapping[str, str]:
    """Label each file with as much of its path as distinguishes it from files of the same name."""
    labels = {}
    for path, file in files.items():
        others = [each for each in files if each != path and files[each].name == file.name]
        parts = PurePath(path).parts
        lengths = range(2, len(parts) + 1) if others else ()
        tails = (str(PurePath(*parts[-length:])) for length in lengths)
        unique = (tail for tail in tails if not any(each.endswith(f"/{tail}") for each in others))
        labels[path] = next(unique, path) if others else file.name
    return labels


def describe_revisions(count: int, example: str | None) -> str | None:
    """Describe the records that supersede another one of the same instant; None without any."""
    if not count:
        return None
    records = "record supersedes" if count == 1 else "records supersede"
    another = f"{records} another of the same listing and instant"
    shown = f", such as {example}" if example else ""
    return f"{count} {another}{shown}; superseded records stay in the history"


def _count(counted: dict[str, _Counted], key: str, first: str, more: int = 1) -> None:
    if key in counted:
        counted[key].count += more
    else:
        counted[key] = _Counted(more, first)
