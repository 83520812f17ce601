"""The parameters of the pages: those of the JSON routes, as a browser's forms send them."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

from api.parameters import QueryString, read_query

MOMENT = ("as_of", "known_at")
"""What says which time is looked at."""

TIMES = frozenset({*MOMENT, "end", "started_since", "started_before"})

TIMES_OF_DAY = {f"{name}_time": name for name in MOMENT}
"""The field of a form with the time of day that belongs to a date."""

DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
"""What `<input type="date">` sends."""

END_OF_DAY = "23:59:59.999999"
"""The time of day of a date that is given alone: the whole day is included."""

WITHOUT_ZONE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?", re.ASCII)
"""What `<input type="datetime-local">` sends; the form says that it means UTC."""


@lru_cache(maxsize=256)
def complete(query_string: bytes) -> tuple[tuple[str, str], ...]:
    """Read the parameters that have a value; a form sends its empty fields too.

    A date is joined with its time of day, which counts for nothing if the date is empty. A time
    without an offset is one in UTC.
    """
    pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
    values = dict(reversed(pairs))
    times_of_day = [
        field for field, name in TIMES_OF_DAY.items() if _is_date_or_empty(values.get(name))
    ]
    for field in times_of_day:  # a second one is reported as unknown
        if field in values:
            pairs.remove((field, values[field]))
    return tuple((name, _complete_time(name, value, values)) for name, value in pairs if value)


def _is_date_or_empty(value: str | None) -> bool:
    return value is not None and (not value or DATE.fullmatch(value) is not None)


def _complete_time(name: str, value: str, values: Mapping[str, str]) -> str:
    if name in MOMENT and DATE.fullmatch(value):
        value = f"{value}T{values.get(f'{name}_time') or END_OF_DAY}"
    return f"{value}Z" if name in TIMES and WITHOUT_ZONE.fullmatch(value) else value


def read_page_query(schema: QueryString, query_string: bytes) -> Mapping[str, Any]:
    """Read the query string of a page as strictly as that of a JSON route.

    Raises:
        ValidationError: naming every parameter that is unknown, malformed or given twice.
    """
    return read_query(schema, urlencode(complete(query_string)).encode())


def read_present_query(schema: QueryString, query_string: bytes) -> Mapping[str, Any]:
    """Read the query string of a page that has no past; links to other pages keep the time.

    Raises:
        ValidationError: naming every parameter that is unknown, malformed or given twice.
    """
    pairs = [pair for pair in complete(query_string) if pair[0] not in MOMENT]
    return read_query(schema, urlencode(pairs).encode())
