"""What a person declares of a CSV file: a small TOML file beside it, `prices.csv.toml`.

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
from worker.sources.csv.cells.names import FIELDS, STABLECOINS
from worker.sources.csv.cells.times import DAY_FIRST, EXCEL, MONTH_FIRST, Clock
from worker.sources.csv.reading.dialect import DELIMITERS, ENCODINGS
from worker.sources.fields import flatten

CONSTANTS = ("id", "symbol", "name", "observed_at")
READING_ALONE = ("delimiter", "encoding", "skip_lines", "header", "pad_short_rows")
"""What has done its work once a row is text; the rest is needed to say what the row means."""

HEADING = ("delimiter", "encoding", "skip_lines", "header")
"""What decides which headers the rows have."""

_GIVEN = validate.Length(min=1, error="is empty")


class TomlText(fields.String):
    """Text, or one of TOML's own times, as ISO 8601."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> Any:
        text = value.isoformat() if isinstance(value, (date, time)) else value
        return super()._deserialize(text, attr, data, **kwargs)


def is_date_format(value: str) -> None:
    """Refuse what is neither a word nor a pattern that tells a whole date."""
    if value in {DAY_FIRST, MONTH_FIRST, EXCEL}:
        return
    moment = datetime(2021, 11, 23, 17, 45, 56, tzinfo=UTC)
    try:
        whole = any(year in value for year in ("%Y", "%y", "%c", "%x", "%G")) and (
            datetime.strptime(moment.strftime(value), value).date() == moment.date()  # noqa: DTZ007
        )
    except ValueError:
        whole = False
    if not whole:
        raise ValidationError(
            f"{value!r} is neither {DAY_FIRST!r} nor {MONTH_FIRST!r} nor {EXCEL!r} nor a strptime "
            "pattern of a whole date, such as '%d.%m.%Y %H:%M'"
        )


def is_timezone(value: str) -> None:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise ValidationError(f"{value!r} is no time zone, such as 'Europe/Berlin'") from exc


def _one_of(choices: Sequence[str]) -> validate.OneOf:
    listed = ", ".join(repr(choice) for choice in choices)
    return validate.OneOf(choices, error=f"{{input!r}} is not one of {listed}")


class _Table(Schema):
    error_messages: ClassVar = {"unknown": "is not a key of a declaration"}  # type: ignore[misc]


ColumnsTable = _Table.from_dict({field: fields.String(validate=_GIVEN) for field in FIELDS})
ValuesTable = _Table.from_dict({field: TomlText(validate=_GIVEN) for field in CONSTANTS})


class DeclarationSchema(_Table):
    """The keys of a declaration; all of them may be left out."""

    delimiter = fields.String(validate=_one_of(DELIMITERS))
    encoding = fields.String(validate=_one_of(ENCODINGS))
    skip_lines = fields.Integer(
        strict=True, validate=validate.Range(0, 1000, error="{input} is not 0 to 1000")
    )
    header = fields.List(fields.String(validate=_GIVEN), validate=_GIVEN)
    pad_short_rows = fields.Boolean(truthy={True}, falsy={False})
    as_usd = fields.List(fields.String(validate=_one_of(STABLECOINS)))
    pair_symbols = fields.Boolean(truthy={True}, falsy={False})
    currency = fields.String(
        validate=validate.Equal("USD", error="{input!r} is not read: only US dollars, 'USD'")
    )
    decimal = fields.String(validate=_one_of(("point", "comma")))
    date_format = fields.String(validate=is_date_format)
    timezone = fields.String(validate=is_timezone)
    time_of_day = TomlText(
        validate=validate.Regexp(
            r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?\Z",
            re.ASCII,
            error="{input!r} is not as '23:59:59'",
        )
    )
    namespace = fields.String(
        validate=validate.Regexp(
            r"[a-z0-9][a-z0-9._-]*\Z",
            error="{input!r} is not lower-case letters, digits, '.', '_' and '-'",
        )
    )
    zero_is_unknown = fields.List(fields.String(validate=_one_of(VALUES)))
    unknown = fields.List(fields.String())  # type: ignore[assignment]
    ignore = fields.List(fields.String())
    columns = fields.Nested(ColumnsTable)
    values = fields.Nested(ValuesTable)

    @validates_schema
    def one_place_for_each_field(self, data: Mapping[str, Any], **_: Any) -> None:
        twice = sorted(set(data.get("columns", ())) & set(data.get("values", ())))
        if twice:
            raise ValidationError({"values": {key: ["is under [columns] too"] for key in twice}})

    @validates_schema
    def names_of_columns_differ(self, data: Mapping[str, Any], **_: Any) -> None:
        names = data.get("header", [])
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValidationError({"header": [f"names several columns {twice[0]!r}"]})

    @validates_schema
    def constant_time_is_readable(self, data: Mapping[str, Any], **_: Any) -> None:
        told = data.get("values", {}).get("observed_at")
        if told is not None:
            try:
                Clock.from_declared(data).read(told)
            except (ValueError, OverflowError) as exc:
                raise ValidationError({"values": {"observed_at": [str(exc)]}}) from exc


def read_declaration(path: Path) -> dict[str, Any]:
    """Read and check a declaration.

    Raises:
        SourceError: `declaration`, naming every key that is wrong.
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


def for_the_row(declared: Mapping[str, Any]) -> dict[str, Any] | None:
    """Keep what the meaning of a row depends on: it is stored with each."""
    return {key: told for key, told in declared.items() if key not in READING_ALONE} or None


def toml_text(declared: Mapping[str, Any], questions: Sequence[Question]) -> str:
    """Write the declaration as it should be: what it says already, and what is asked for.

    A value that nobody but the file's owner can tell is left empty, which no declaration may be.
    """
    lines: list[str] = []
    asked = {(question.table, question.key): question for question in questions}
    for table in (None, "columns", "values"):
        said = declared.get(table, {}) if table else declared
        told = {key: text for key, text in said.items() if not isinstance(text, dict)}
        told |= {key: question.value for (at, key), question in asked.items() if at == table}
        if table and told:
            lines += ["", f"[{table}]"]
        for key, text in told.items():
            line = toml_line(key, text)
            question = asked.get((table, key))
            lines.append(f"{line}  # {question.why}" if question else line)
    return "\n".join(lines).strip()
