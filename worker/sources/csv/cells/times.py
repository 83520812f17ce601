"""Parse times as exports write them, into UTC.

These formats need no declaration: ISO 8601 and similar formats with the year first; seconds,
milliseconds, microseconds and nanoseconds since 1970 (10, 13, 16 and 19 digits); dates with the
name of the month (`Jan 14, 2020`). The order of day and month in `01-05-2016` must be declared, or
proven by another cell of the first rows (`29-05-2016`). Serial numbers of Excel (days since
1899-12-30) must be declared, because `44371` may be any number.

A time without a zone is UTC, as exchanges and indexes publish it, unless `timezone` is declared. A
date without a time means the beginning of the day, unless `time_of_day` is declared.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
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
"""Number of digits of an epoch time -> its units per second."""

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


def _format(date: str) -> re.Pattern[str]:
    return re.compile(date + _TIME, re.ASCII)


_DEFAULT_FORMATS = (
    _format(r"(?P<year>\d{4})[-/.](?P<month>\d\d)[-/.](?P<day>\d\d)"),
    _format(r"(?P<month_name>[A-Za-z]{3,9})\.? (?P<day>\d{1,2}),? (?P<year>\d{4})"),
    _format(r"(?P<day>\d{1,2})[ -](?P<month_name>[A-Za-z]{3,9})\.?,?[ -](?P<year>\d{4})"),
)
_DECLARED = {
    DAY_FIRST: _format(r"(?P<day>\d{1,2})[-/.](?P<month>\d{1,2})[-/.](?P<year>\d{4})"),
    MONTH_FIRST: _format(r"(?P<month>\d{1,2})[-/.](?P<day>\d{1,2})[-/.](?P<year>\d{4})"),
}


_LENGTH = re.compile(r"(?P<count>[1-9]\d{0,3})(?P<unit>[mhd])", re.ASCII)
_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}
_LAST_MOMENT = timedelta(milliseconds=1)


def parse_length(text: str) -> timedelta:
    """Parse the length of a candle: `15m`, `1h`, `1d`, or `0`.

    Raises:
        ValueError: with the reason.
    """
    if text == "0":
        return timedelta()
    if found := _LENGTH.fullmatch(text):
        return int(found["count"]) * _UNITS[found["unit"]]
    raise ValueError(f"{text!r} is not '0' or a length such as '15m', '1h' or '1d'")


def format_length(length: timedelta) -> str | None:
    """Format a length as `parse_length` reads it; None if it cannot be written so."""
    unit = next((name for name, each in _UNITS.items() if not length % each), None)
    text = f"{length // _UNITS[unit]}{unit}" if unit else ""
    return text if _LENGTH.fullmatch(text) else None


def is_day_or_month_first(text: str) -> bool:
    """Whether a cell is a numeric date that begins with the day or the month."""
    return bool(_DECLARED[DAY_FIRST].fullmatch(text.strip()))


def find_day_orders(cells: Iterable[str]) -> dict[str, str]:
    """Map each proven order of day and month to the first cell that proves it.

    A cell proves an order if it is a valid date in that order only. `30/02/2023` proves nothing.
    """
    parsers = {order: TimeParser(order) for order in _DECLARED}
    found: dict[str, str] = {}
    for cell in filter(is_day_or_month_first, cells):
        orders = [order for order, parser in parsers.items() if parser.can_parse(cell)]
        if len(orders) == 1:
            found.setdefault(orders[0], cell)
    return found


def parse_excel_date(text: str) -> datetime | None:
    """Parse a serial number of Excel to the millisecond, without a zone; None for other texts."""
    if not _SERIAL.fullmatch(text.strip()):
        return None
    milliseconds = (Decimal(text.strip()) * 86_400_000).to_integral_value()
    return _EXCEL_EPOCH + timedelta(milliseconds=int(milliseconds))


def has_lost_digits(text: str) -> bool:
    """Whether a cell is an epoch time that a spreadsheet rounded: `1.67754E+12`."""
    return bool(_ROUNDED_EPOCH.fullmatch(text.strip()))


@dataclass(frozen=True)
class TimeParser:
    """Parses the times of one file.

    `close_after` is added by `parse_close` alone.
    """

    date_format: str | None = None
    zone: tzinfo = UTC
    time_of_day: time = time()
    close_after: timedelta = timedelta()

    @classmethod
    def from_declaration(cls, declared: Mapping[str, Any]) -> "TimeParser":
        name = declared.get("timezone")
        of_day = declared.get("time_of_day")
        return cls(
            declared.get("date_format"),
            ZoneInfo(name) if name else UTC,
            time.fromisoformat(of_day) if of_day else time(),
            parse_length(declared.get("close_after", "0")),
        )

    def can_parse(self, text: str) -> bool:
        try:
            self.parse(text)
        except (ValueError, OverflowError):
            return False
        return True

    def is_date(self, text: str) -> bool:
        """Whether a text can be parsed and has no time of day."""
        noon, evening = (replace(self, time_of_day=time(hour)) for hour in (12, 18))
        can_parse = all(each.can_parse(text) for each in (self, noon, evening))
        return can_parse and noon.parse(text) != evening.parse(text)

    def parse_close(self, text: str) -> datetime:
        """Parse the time of a row; of a candle, return the last millisecond.

        The millisecond keeps the close in its own candle. Days are those of the declared zone: one
        may have 23 or 25 hours.

        Raises:
            ValueError: with the reason.
        """
        moment = self.parse(text)
        if not self.close_after:
            return moment
        is_of_days = not self.close_after % _UNITS["d"]
        opened = moment.astimezone(self.zone) if is_of_days else moment
        return (opened + self.close_after).astimezone(UTC) - _LAST_MOMENT

    def parse(self, text: str) -> datetime:
        """Parse a text into an instant in UTC.

        Raises:
            ValueError: with the reason.
        """
        iso = _ISO.fullmatch(text)
        if iso and (self.date_format is None or "%" not in self.date_format):
            return self._instant(datetime.fromisoformat(text), text)
        text = text.strip()
        if self.date_format is not None and "%" in self.date_format:
            return self._read_pattern(text, self.date_format)
        text = text.removesuffix(",")
        if self.date_format == EXCEL and (serial := parse_excel_date(text)):
            return self._instant(serial, text)
        if _INTEGER.fullmatch(text):
            digits = text.partition(".")[0]
            microseconds = int(digits) * 1_000_000 // _PER_SECOND[len(digits)]
            return _EPOCH + timedelta(microseconds=microseconds)
        if found := _SECONDS.fullmatch(text):
            microseconds = int(found["fraction"][:6].ljust(6, "0"))
            return _EPOCH + timedelta(seconds=int(found["seconds"]), microseconds=microseconds)
        declared = _DECLARED.get(self.date_format or "")
        formats = (*_DEFAULT_FORMATS, declared) if declared else _DEFAULT_FORMATS
        for form in formats:
            if found := form.fullmatch(text):
                return self._instant(self._assemble(found.groupdict()), text)
        if is_day_or_month_first(text):
            raise ValueError(f"{text!r} may have the day or the month first; declare date_format")
        if has_lost_digits(text):
            raise ValueError(
                f"{text!r} is an epoch time whose last digits were lost in a spreadsheet; declare "
                "another column, or export the file again"
            )
        raise ValueError(f"not a time in a known or declared format: {text[:80]!r}")

    def _read_pattern(self, text: str, pattern: str) -> datetime:
        try:
            moment = datetime.strptime(text, pattern)  # noqa: DTZ007 -- `_instant` adds the zone
        except ValueError:
            raise ValueError(f"{text[:80]!r} does not match date_format {pattern!r}") from None
        if not has_time_of_day(pattern):
            moment = datetime.combine(moment, self.time_of_day, moment.tzinfo)
        return self._instant(moment, text)

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

    def _instant(self, moment: datetime, text: str) -> datetime:
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
        if self.zone is UTC:
            return moment.replace(tzinfo=UTC)
        local = moment.replace(tzinfo=self.zone)
        if local.utcoffset() != local.replace(fold=1).utcoffset():
            raise ValueError(
                f"{text!r} occurs twice or never in {self.zone}, because the clocks change"
            )
        return local.astimezone(UTC)


class TimeCell(Direct[datetime]):
    """An instant in a cell."""

    def __init__(self, parser: TimeParser) -> None:
        super().__init__(required=True)
        self.parser = parser

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
            moment = self.parser.parse_close(value)
        except (ValueError, OverflowError) as exc:
            raise ValidationError(str(exc)) from exc
        if moment < Instant.EARLIEST:
            raise ValidationError(f"before anything had a market price: {brief(value)}")
        return moment


def has_time_of_day(pattern: str) -> bool:
    """Whether a `strptime` pattern contains a time of day."""
    return any(directive in pattern for directive in ("%H", "%I", "%X", "%c", "%M"))


def _month(name: str) -> int:
    for number, month in enumerate(MONTHS, start=1):
        if month.startswith(name.lower()):
            return number
    raise ValueError(f"{name!r} is not an English month")


def _hour(hour: int, half: str | None) -> int:
    if half is None:
        return hour
    if not 1 <= hour <= 12:  # noqa: PLR2004 -- the hours of a half day
        raise ValueError(f"{hour} {half} is not a valid hour")
    return hour % 12 + (12 if half.lower() == "pm" else 0)


def _zone(name: str | None) -> tzinfo | None:
    if name is None:
        return None
    if name in {"Z", "UTC", "GMT"}:
        return UTC
    digits = name[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if name[0] == "-" else offset)
