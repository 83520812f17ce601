"""Exports: all assets that match the filters, streamed from one snapshot of the database.

An export is read twice in that snapshot: first to compute its size, rows and digest, then to send
it. The headers have these values, so a client can detect a truncated file. Neither pass holds more
than a thousand rows in memory. The description is cached for the next export of the same data.
"""

import errno
import logging
import time
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import TypeVar

from flask import Response, current_app, g, request
from sqlalchemy import Connection
from werkzeug.http import http_date

from api.database.cache import RecentValues
from api.database.pool import snapshot
from api.middleware.limits import client
from api.queries.assets.find import read_version, stream_assets, stream_rows
from api.queries.assets.query import AssetQuery
from api.request.client_socket import ClientSocket, Pace
from api.request.problems import ExportsBusyError, QueryTimeoutError
from api.request.process_metrics import Instruments
from api.responses.cached import cache_control
from api.responses.compression import client_accepts_gzip
from api.responses.concurrency import Slots
from api.responses.formats import CSV, NDJSON, content_type, header_line, terminate_lines
from api.responses.parquet import PARQUET, write_parquet
from api.responses.staleness import stale_sources

MAX_CONCURRENT = 2
"""Concurrent exports of a process. Each holds a thread, a connection and a snapshot."""

MAX_SECONDS = 300.0
"""Time limit of an export. An open snapshot prevents Postgres from vacuuming."""

MIN_BYTES_PER_SECOND = 1 << 16
"""Slower clients are disconnected, because a running export can block those of others."""

SPARE_SECONDS = 5.0
"""The connection's time limit exceeds the export's by this much, so the export ends first."""

EXTENSIONS = {CSV: "csv", NDJSON: "ndjson", PARQUET: "parquet"}

Part = TypeVar("Part")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Description:
    """What the headers of an export say about its content."""

    rows: int
    size: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Export:
    """The assets to export, and the format of the file."""

    query: AssetQuery
    media: str
    is_compressed: bool
    max_seconds: float
    """Time limit of one pass over the data."""

    def chunks(self, conn: Connection) -> Iterator[tuple[int, bytes]]:
        """Read from a snapshot and return for each part of the file its row count and bytes."""
        if self.media == PARQUET:
            rows = self._limit_time(stream_rows(conn, self.query))
            return write_parquet(self.query.columns, rows)
        return self._lines(self._limit_time(stream_assets(conn, self.query)))

    def _lines(self, parts: Iterator[list[str]]) -> Iterator[tuple[int, bytes]]:
        compressor = (
            zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16) if self.is_compressed else None
        )
        header = header_line(self.media, self.query.columns, bom=self.query.bom)
        for lines in parts:
            chunk = header + terminate_lines(self.media, lines)
            header = b""
            yield len(lines), compressor.compress(chunk) if compressor else chunk
        yield 0, (compressor.compress(header) + compressor.flush() if compressor else header)

    def describe(self, conn: Connection) -> Description:
        """Read the export once without sending it.

        Raises:
            QueryTimeoutError: the pass exceeded the time limit.
        """
        rows = size = 0
        digest = sha256()
        try:
            for count, chunk in self.chunks(conn):
                rows, size = rows + count, size + len(chunk)
                digest.update(chunk)
        except TimeoutError as exc:
            raise QueryTimeoutError(f"{exc}; narrow the filters") from exc
        return Description(rows, size, digest.digest())

    def _limit_time(self, parts: Iterator[Part]) -> Iterator[Part]:
        deadline = time.monotonic() + self.max_seconds
        for part in parts:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the export took longer than {self.max_seconds:g} s")
            yield part


class Exports:
    """The exports of this process: the running ones and the cached descriptions."""

    def __init__(
        self, max_seconds: float = MAX_SECONDS, min_bytes_per_second: float = MIN_BYTES_PER_SECOND
    ) -> None:
        self.max_seconds = max_seconds
        self.min_bytes_per_second = min_bytes_per_second
        self._slots = Slots(MAX_CONCURRENT, 1)
        self._descriptions: RecentValues[Description] = RecentValues(200)

    def slot(self, client: str) -> AbstractContextManager[None]:
        """Occupy a slot for one `with` block. A client has at most one.

        Raises:
            ExportsBusyError: no slot is free, or the client has one already.
        """
        return self._slots.slot(
            client,
            client_full=ExportsBusyError(
                "another export of this client is running; wait until it has ended"
            ),
            all_full=ExportsBusyError("this server already runs as many exports as it allows"),
        )

    def describe(self, conn: Connection, export: Export, version: int) -> Description:
        """Describe an export of the data at this version.

        Descriptions of the past are not cached: late or reprocessed records can change the past
        without a change of `version`.
        """
        if export.query.moment is not None:
            return export.describe(conn)
        found = self._descriptions.get((export, version))
        if found is None:
            found = export.describe(conn)
            self._descriptions.put((export, version), found)
        return found


def send(query: AssetQuery, media: str) -> Response:
    """Respond with an export, or with its headers alone for HEAD and 304."""
    exports: Exports = current_app.extensions["exports"]
    is_compressed = media != PARQUET and client_accepts_gzip()
    export = Export(query, media, is_compressed, exports.max_seconds)
    stale = stale_sources()
    with ExitStack() as stack:
        pace = stack.enter_context(pacing(exports))
        stack.enter_context(exports.slot(client()))
        conn = stack.enter_context(snapshot(exports.max_seconds + SPARE_SECONDS))
        version, changed_at = read_version(conn)
        description = exports.describe(conn, export, version)
        headers = _headers(export, description, version, None if query.moment else changed_at)
        if stale.names:
            headers["X-Stale-Sources"] = ", ".join(stale.names)
        etag = headers["ETag"].strip('"')
        if request.if_none_match.contains_weak(etag):
            return Response(status=304, headers=headers)
        g.rows = description.rows
        headers["Content-Length"] = str(description.size)
        if request.method == "HEAD":
            return Response(headers=headers)
        resources = stack.pop_all()
        report_cut = partial(_report_cut, current_app.extensions["instruments"])
        response = Response(_body(export, conn, resources, pace, report_cut), headers=headers)
        response.call_on_close(resources.close)  # in case the body is never iterated
        return response


@contextmanager
def pacing(exports: Exports) -> Iterator[Pace]:
    """Apply the minimum rate and time limit of exports to the client for one `with` block."""
    pace = Pace(exports.min_bytes_per_second, exports.max_seconds)
    sock = request.environ.get("gunicorn.socket")
    if not isinstance(sock, ClientSocket):
        yield pace
        return
    sock.pace = pace
    try:
        yield pace
    finally:
        sock.pace = None


def _body(
    export: Export,
    conn: Connection,
    resources: ExitStack,
    pace: Pace,
    report_cut: Callable[[str, int], None],
) -> Iterator[bytes]:
    """Yield the file. The last chunk follows after the slot was released.

    Otherwise a client that has the complete file could be refused its next export.
    """
    held, sent = b"", 0
    try:
        with resources:
            for _, chunk in export.chunks(conn):
                if chunk and held:
                    yield held
                    sent += len(held)
                held = chunk or held
    except TimeoutError as exc:
        # The client detects it: the body is shorter than `Content-Length`.
        report_cut("too_long", sent)
        raise ConnectionResetError(errno.ECONNRESET, str(exc)) from exc
    except GeneratorExit:
        if pace.violation is not None:
            report_cut(pace.violation, sent)
        raise
    yield held


def _report_cut(instruments: Instruments, reason: str, sent: int) -> None:
    instruments.export_cut(reason)
    log.warning("an export was cut", extra={"reason": reason, "bytes": sent})


def _headers(
    export: Export, description: Description, version: int, changed_at: float | None
) -> dict[str, str]:
    encoding = {"Content-Encoding": "gzip"} if export.is_compressed else {}
    changed = {"Last-Modified": http_date(int(changed_at))} if changed_at is not None else {}
    return {
        "Content-Type": content_type(export.media),
        "Content-Disposition": f'attachment; filename="assets.{EXTENSIONS[export.media]}"',
        "ETag": f'"{description.digest.hex()[:32]}"',
        "Repr-Digest": f"sha-256=:{b64encode(description.digest).decode()}:",
        "X-Total-Count": str(description.rows),
        "X-Data-Version": str(version),
        "Cache-Control": cache_control(current_app.extensions["settings"]),
        "Vary": "Accept, Accept-Encoding",
        **encoding,
        **changed,
    }
