"""The declaration of a CSV file: a small TOML file beside it, such as `prices.csv.toml`.

`data/README.md` lists every key with an example.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from shared.errors import SourceError
from shared.model.records import VALUES
from worker.sources.csv.cells.columns import Question, toml_line
from worker.sources.csv.cells.headers import FIELDS, STABLECOINS
from worker.sources.csv.cells.times import DAY_FIRST, EXCEL, MONTH_FIRST, TimeParser, parse_length
from worker.sources.csv.reading.dialect import DELIMITERS, ENCODINGS
from worker.sources.fields import flatten

CONSTANTS = ("id", "symbol", "name", "observed_at")
PARSING_KEYS = ("delimiter", "encoding", "skip_lines", "header", "pad_short_rows")
"""Keys that affect only how bytes become rows. The others affect what a row means."""

HEADER_KEYS = ("delimiter", "encoding", "skip_lines", "header")
"""Keys that determine the headers of the rows."""

_NOT_EMPTY = validate.Length(min=1, error="is empty")


class TomlText(fields.String):
    """Text, or a TOML date or time as ISO 8601."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> Any:
        text = value.isoformat() if isinstance(value, (date, time)) else value
        return super()._deserialize(text, attr, data, **kwargs)


def check_date_format(value: str) -> None:
    """Accept a keyword, or a `strptime` pattern from which a complete date can be parsed."""
    if value in {DAY_FIRST, MONTH_FIRST, EXCEL}:
        return
    moment = datetime(2021, 11, 23, 17, 45, 56, tzinfo=UTC)
    try:
        is_complete = any(year in value for year in ("%Y", "%y", "%c", "%x", "%G")) and (
            datetime.strptime(moment.strftime(value), value).date() == moment.date()  # noqa: DTZ007
        )
    except ValueError:
        is_complete = False
    if not is_complete:
        raise ValidationError(
            f"{value!r} is not {DAY_FIRST!r}, {MONTH_FIRST!r}, {EXCEL!r} or a strptime pattern of "
            "a complete date, such as '%d.%m.%Y %H:%M'"
        )


def check_length(value: str) -> None:
    try:
        parse_length(value)
    except ValueError as exc:
        raise ValidationError(str(exc)) from exc


def check_timezone(value: str) -> None:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise ValidationError(f"{value!r} is not a time zone such as 'Europe/Berlin'") from exc


def _one_of(choices: Sequence[str]) -> validate.OneOf:
    allowed = ", ".join(repr(choice) for choice in choices)
    return validate.OneOf(choices, error=f"{{input!r}} is not one of {allowed}")


class _Table(Schema):
    error_messages: ClassVar = {"unknown": "is not a key of a declaration"}  # type: ignore[misc]


ColumnsTable = _Table.from_dict({field: fields.String(validate=_NOT_EMPTY) for field in FIELDS})
ValuesTable = _Table.from_dict({field: TomlText(validate=_NOT_EMPTY) for field in CONSTANTS})


class DeclarationSchema(_Table):
    """The keys of a declaration; all are optional."""

    delimiter = fields.String(validate=_one_of(DELIMITERS))
    encoding = fields.String(validate=_one_of(ENCODINGS))
    skip_lines = fields.Integer(
        strict=True, validate=validate.Range(0, 1000, error="{input} is not between 0 and 1000")
    )
    header = fields.List(fields.String(validate=_NOT_EMPTY), validate=_NOT_EMPTY)
    pad_short_rows = fields.Boolean(truthy={True}, falsy={False})
    as_usd = fields.List(fields.String(validate=_one_of(STABLECOINS)))
    pair_symbols = fields.Boolean(truthy={True}, falsy={False})
    currency = fields.String(
        validate=validate.Equal("USD", error="{input!r} is not supported; only 'USD' is")
    )
    decimal = fields.String(validate=_one_of(("point", "comma")))
    date_format = fields.String(validate=check_date_format)
    timezone = fields.String(validate=check_timezone)
    time_of_day = TomlText(
        validate=validate.Regexp(
            r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?\Z",
            re.ASCII,
            error="{input!r} is not a time of day such as '23:59:59'",
        )
    )
    close_after = fields.String(validate=check_length)
    namespace = fields.String(
        validate=validate.Regexp(
            r"[a-z0-9][a-z0-9._-]*\Z",
            error="{input!r} must consist of lower-case letters, digits, '.', '_' and '-'",
        )
    )
    zero_is_unknown = fields.List(fields.String(validate=_one_of(VALUES)))
    unknown = fields.List(fields.String())  # type: ignore[assignment]
    ignore = fields.List(fields.String())
    columns = fields.Nested(ColumnsTable)
    values = fields.Nested(ValuesTable)

    @validates_schema
    def fields_are_declared_once(self, data: Mapping[str, Any], **_: Any) -> None:
        twice = sorted(set(data.get("columns", ())) & set(data.get("values", ())))
        if twice:
            raise ValidationError({"values": {key: ["is also under [columns]"] for key in twice}})

    @validates_schema
    def close_is_declared_once(self, data: Mapping[str, Any], **_: Any) -> None:
        if data.get("close_after", "0") != "0" and data.get("time_of_day", "") >= "23:59":
            why = f"would count from {data['time_of_day']}, which is the end of a day already"
            raise ValidationError({"close_after": [f"{why}; declare one of the two"]})

    @validates_schema
    def column_names_are_unique(self, data: Mapping[str, Any], **_: Any) -> None:
        names = data.get("header", [])
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValidationError({"header": [f"has the name {twice[0]!r} more than once"]})

    @validates_schema
    def constant_time_is_readable(self, data: Mapping[str, Any], **_: Any) -> None:
        constant = data.get("values", {}).get("observed_at")
        if constant is not None:
            try:
                TimeParser.from_declaration(data).parse(constant)
            except (ValueError, OverflowError) as exc:
                raise ValidationError({"values": {"observed_at": [str(exc)]}}) from exc


def read_declaration(path: Path) -> dict[str, Any]:
    """Read and check a declaration.

    Raises:
        SourceError: `declaration`, with every invalid key.
    """
    try:
        document = tomllib.loads(path.read_bytes().decode())
        loaded: dict[str, Any] = DeclarationSchema().load(document)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise SourceError(f"{path}: {exc}", code="declaration") from exc
    except ValidationError as exc:
        reasons = "; ".join(flatten(exc.messages))
        raise SourceError(f"{path}: {reasons}", code="declaration") from exc
    return loaded


def row_declaration(declared: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the keys that affect the meaning of a row; they are stored with each row."""
    return {key: value for key, value in declared.items() if key not in PARSING_KEYS} or None


def toml_text(declared: Mapping[str, Any], questions: Sequence[Question]) -> str:
    """Format the present declaration with the questions added to it.

    A value that cannot be suggested is written as an empty text, which a declaration rejects.
    """
    lines: list[str] = []
    asked = {(question.table, question.key): question for question in questions}
    for table in (None, "columns", "values"):
        present = declared.get(table, {}) if table else declared
        entries = {key: value for key, value in present.items() if not isinstance(value, dict)}
        entries |= {key: question.value for (at, key), question in asked.items() if at == table}
        if table and entries:
            lines += ["", f"[{table}]"]
        for key, value in entries.items():
            line = toml_line(key, value)
            question = asked.get((table, key))
            lines.append(f"{line}  # {question.why}" if question else line)
    return "\n".join(lines).strip()
