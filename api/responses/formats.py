"""The formats of lists: JSON, CSV (RFC 4180) and NDJSON (one JSON document a line)."""

import codecs
from collections.abc import Iterable, Sequence

from flask import request

from api.request.negotiation import JSON, choose
from api.responses.parquet import PARQUET

CSV = "text/csv"
NDJSON = "application/x-ndjson"

MEDIA = {"json": JSON, "csv": CSV, "ndjson": NDJSON, "parquet": PARQUET}

LINE_BREAK = "\n"

CHARSETS = {CSV: "text/csv; charset=utf-8; header=present"}


def choose_format(given: str | None, *available: str) -> str:
    """Return the media type of the parameter `format`, or the one that `Accept` prefers.

    Raises:
        NotAcceptable: `Accept` allows none of the available formats.
    """
    if given is not None:
        return MEDIA[given]
    return choose([MEDIA[name] for name in available], request.headers.get("Accept"))


def content_type(media: str) -> str:
    return CHARSETS.get(media, media)


def join_lines(
    media: str, lines: Sequence[str], columns: Iterable[str], *, bom: bool = False
) -> bytes:
    """Write the lines of a query as the body; for JSON, as the member `data`."""
    if media == JSON:
        return f"[{','.join(lines)}]".encode()
    return header_line(media, columns, bom=bom) + terminate_lines(media, lines)


def join_page(
    media: str, lines: str, count: int, columns: Iterable[str], *, bom: bool = False
) -> bytes:
    """Write a page like `join_lines`, from lines that Postgres has joined already."""
    if media == JSON:
        return f"[{lines.replace(LINE_BREAK, ',')}]".encode()
    body = terminate_lines(media, [lines]) if count else b""
    return header_line(media, columns, bom=bom) + body


def header_line(media: str, columns: Iterable[str], *, bom: bool = False) -> bytes:
    """Write the line of column names; empty except for CSV."""
    mark = codecs.BOM_UTF8 if bom else b""
    return mark + terminate_lines(media, [",".join(columns)]) if media == CSV else b""


def terminate_lines(media: str, lines: Iterable[str]) -> bytes:
    end = "\r\n" if media == CSV else "\n"
    return "".join([line + end for line in lines]).encode()
