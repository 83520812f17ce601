"""Times as people's exports write them, read as instants in UTC.

Known by themselves are ISO 8601 and its kin with the year first, seconds, milliseconds,
microseconds and nanoseconds since 1970 (10, 13, 16 and 19 digits), and dates that name their month
(`Jan 14, 2020`). Whether `01-05-2016` has the day or the month first is read as declared, or as
another of the file's first cells proves: `29-05-2016` has the day first. The serial numbers of
Excel, days since 1899-12-30, are read only as declared: `44371` is a number like any other.

Two conventions hold where a cell says less than an instant. A time without a zone is UTC, as every
exchange and index of this market publishes it; a declared `timezone` says otherwise. A date without
a time is the first instant of that day; a declared `time_of_day` says otherwise.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from marshmallow import ValidationError

from worker.sources.fields import Direct, Instant, brief

DAY_FIRST = "day-first"
MONTH_FIRST = "month-first"
EXCEL = "excel"
MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXCEL_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 -- `_instant` adds the zone
_PER_SECOND = {10: 1, 13: 1_000, 16: 1_000_000, 19: 1_000_000_000}
"""Digits of an epoch time -> how many of its units a second has."""

_CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d{1,2})(?::(?P<second>\d\d)(?:\.(?P<fraction>\d+))?)?"
_HALF = r"(?: ?(?P<half>[AaPp][Mm]))?"
_ZONE = r"(?: ?(?P<zone>Z|UTC|GMT|[+-]\d\d(?::?\d\d)?))?"
_TIME = rf"(?:(?:[ T]|, ?){_CLOCK}{_HALF})?{_ZONE}"
_ISO = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?P<zone>Z|[+-]\d\d:\d\d)?", re.ASCII
)
_INTEGER = re.compile(r"(?:\d{10}|\d{13}|\d{16}|\d{19})(?:\.0*)?", re.ASCII)
_SECONDS = re.compile(r"(?P<seconds>\d{10})\.(?P<fraction>\d+)", re.ASCII)
_SERIAL = re.compile(r"[1-9]\d{4}(?:\.\d+)?", re.ASCII)
_ROUNDED_EPOCH = re.compile(r"[1-9]\.\d+[eE]\+?(?:0?9|12|15|18)", re.ASCII)


def _form(date: str) -> re.Pattern[str]:
    return re.compile(date + _TIME, re.ASCII)


_KNOWN = (
    _form(r"(?P<year>\d{4})[-/.](?P<month>\d\d)[-/.](?P<day>\d\d)"),
    _form(r"(?P<month_name>[A-Za-z]{3,9})\.? (?P<day>\d{1,2}),? (?P<year>\d{4})"),
    _form(r"(?P<day>\d{1,2})[ -](?P<month_name>[A-Za-z]{3,9})\.?,?[ -](?P<year>\d{4})"),
)
_DECLARED = {
    DAY_FIRST: _form(r"(?P<day>\d{1,2})[-/.](?P<month>\d{1,2})[-/.](?P<year>\d{4})"),
    MONTH_FIRST: _form(r"(?P<month>\d{1,2})[-/.](?P<day>\d{1,2})[-/.](?P<year>\d{4})"),
}


def is_day_or_month_first(text: str) -> bool:
    """Tell whether a cell is a date of which only a declaration can say where the month is."""
    return bool(_DECLARED[DAY_FIRST].fullmatch(text.strip()))


def find_day_orders(cells: Iterable[str]) -> dict[str, str]:
    """Find the first cell that proves the day, and that proves the month, to come first.

    Proof is a date in one order alone: `30/02/2023` is a date in neither.
    """
    clocks = {order: Clock(order) for order in _DECLARED}
    found: dict[str, str] = {}
    for cell in filter(is_day_or_month_first, cells):
        orders = [order for order, clock in clocks.items() if clock.can_read(cell)]
        if len(orders) == 1:
            found.setdefault(orders[0], cell)
    return found


def read_serial(text: str) -> datetime | None:
    """Read a serial number of Excel, to the millisecond, without a zone; None where it is none."""
    if not _SERIAL.fullmatch(text.strip()):
        return None
    milliseconds = (Decimal(text.strip()) * 86_400_000).to_integral_value()
    return _EXCEL_EPOCH + timedelta(milliseconds=int(milliseconds))


def has_lost_digits(text: str) -> bool:
    """Tell whether a cell is an epoch time that a spreadsheet rounded: `1.67754E+12`."""
    return bool(_ROUNDED_EPOCH.fullmatch(text.strip()))


@dataclass(frozen=True)
class Clock:
    """How one file tells the time."""

    date_format: str | None = None
    zone: tzinfo = UTC
    time_of_day: time = time()

    @classmethod
    def from_declared(cls, declared: Mapping[str, Any]) -> "Clock":
        name = declared.get("timezone")
        of_day = declared.get("time_of_day")
        return cls(
            declared.get("date_format"),
            ZoneInfo(name) if name else UTC,
            time.fromisoformat(of_day) if of_day else time(),
        )

    def can_read(self, text: str) -> bool:
        try:
            self.read(text)
        except (ValueError, OverflowError):
            return False
        return True

    def read(self, text: str) -> datetime:
        """Read one instant, in UTC.

        Raises:
            ValueError: with the reason for which the text is none.
        """
        iso = _ISO.fullmatch(text)
        if iso and (self.date_format is None or "%" not in self.date_format):
            return self._instant(datetime.fromisoformat(text), text)
        text = text.strip()
        if self.date_format is not None and "%" in self.date_format:
            return self._read_pattern(text, self.date_format)
        text = text.removesuffix(",")
        if self.date_format == EXCEL and (serial := read_serial(text)):
            return self._instant(serial, text)
        if _INTEGER.fullmatch(text):
            digits = text.partition(".")[0]
            microseconds = int(digits) * 1_000_000 // _PER_SECOND[len(digits)]
            return _EPOCH + timedelta(microseconds=microseconds)
        if found := _SECONDS.fullmatch(text):
            microseconds = int(found["fraction"][:6].ljust(6, "0"))
            return _EPOCH + timedelta(seconds=int(found["seconds"]), microseconds=microseconds)
        declared = _DECLARED.get(self.date_format or "")
        forms = (*_KNOWN, declared) if declared else _KNOWN
        for form in forms:
            if found := form.fullmatch(text):
                return self._instant(self._assemble(found.groupdict()), text)
        if is_day_or_month_first(text):
            raise ValueError(f"{text!r} has the day or the month first; date_format must say which")
        if has_lost_digits(text):
            raise ValueError(
                f"{text!r} is an epoch time that lost its last digits, as a spreadsheet shows it; "
                "read another column, or export the file again"
            )
        raise ValueError(f"not a time in a form that is known or declared: {text[:80]!r}")

    def _read_pattern(self, text: str, pattern: str) -> datetime:
        try:
            told = datetime.strptime(text, pattern)  # noqa: DTZ007 -- `_instant` adds the zone
        except ValueError:
            raise ValueError(f"{text[:80]!r} is not as date_format {pattern!r} has it") from None
        if not tells_time(pattern):
            told = datetime.combine(told, self.time_of_day, told.tzinfo)
        return self._instant(told, text)

    def _assemble(self, parts: Mapping[str, str | None]) -> datetime:
        name = parts.get("month_name")
        month = _month(name) if name else int(parts["month"] or 0)
        if parts["hour"] is None:
            at = self.time_of_day
        else:
            hour = _hour(int(parts["hour"]), parts["half"])
            microsecond = int((parts["fraction"] or "0")[:6].ljust(6, "0"))
            at = time(hour, int(parts["minute"] or 0), int(parts["second"] or 0), microsecond)
        day = date(int(parts["year"] or 0), month, int(parts["day"] or 0))
        return datetime.combine(day, at, _zone(parts["zone"]))

    def _instant(self, told: datetime, text: str) -> datetime:
        if told.tzinfo is not None:
            return told.astimezone(UTC)
        if self.zone is UTC:
            return told.replace(tzinfo=UTC)
        local = told.replace(tzinfo=self.zone)
        if local.utcoffset() != local.replace(fold=1).utcoffset():
            raise ValueError(f"{text!r} comes twice or never in {self.zone}: the clocks change")
        return local.astimezone(UTC)


class TimeCell(Direct[datetime]):
    """An instant from the text of a cell."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(required=True)
        self.clock = clock

    def _deserialize(
        self,
        value: Any,
        attr: str | None,  # noqa: ARG002
        data: Mapping[str, Any] | None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> datetime:
        if not isinstance(value, str):
            raise ValidationError(f"not a time: {brief(value)}")
        try:
            moment = self.clock.read(value)
        except (ValueError, OverflowError) as exc:
            raise ValidationError(str(exc)) from exc
        if moment < Instant.EARLIEST:
            raise ValidationError(f"before anything had a market price: {brief(value)}")
        return moment


def tells_time(pattern: str) -> bool:
    """Tell whether a `strptime` pattern has a time of day in it."""
    return any(directive in pattern for directive in ("%H", "%I", "%X", "%c", "%M"))


def _month(name: str) -> int:
    for number, month in enumerate(MONTHS, start=1):
        if month.startswith(name.lower()):
            return number
    raise ValueError(f"{name!r} is no English month")


def _hour(hour: int, half: str | None) -> int:
    if half is None:
        return hour
    if not 1 <= hour <= 12:  # noqa: PLR2004 -- the hours of a half day
        raise ValueError(f"{hour} {half} is no hour")
    return hour % 12 + (12 if half.lower() == "pm" else 0)


def _zone(name: str | None) -> tzinfo | None:
    if name is None:
        return None
    if name in {"Z", "UTC", "GMT"}:
        return UTC
    digits = name[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if name[0] == "-" else offset)
