"""The parameters of the pages: those of the JSON routes, as a browser's forms send them."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

from api.parameters import QueryString, read_query

TIMES = frozenset({"as_of", "known_at", "end"})

WITHOUT_ZONE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?", re.ASCII)
"""What `<input type="datetime-local">` sends; the form says that it means UTC."""


@lru_cache(maxsize=256)
def complete(query_string: bytes) -> tuple[tuple[str, str], ...]:
    """Read the parameters that have a value; a form sends its empty fields too."""
    pairs = parse_qsl(query_string.decode("latin-1"))
    return tuple(
        (name, f"{value}Z" if name in TIMES and WITHOUT_ZONE.fullmatch(value) else value)
        for name, value in pairs
    )


def read_page_query(schema: QueryString, query_string: bytes) -> Mapping[str, Any]:
    """Read the query string of a page as strictly as that of a JSON route.

    Raises:
        ValidationError: naming every parameter that is unknown, malformed or given twice.
    """
    return read_query(schema, urlencode(complete(query_string)).encode())
