"""Whole exports: every asset that passes the filters, streamed from one snapshot of the database.

An export is read twice in that snapshot: first to count it and to take its digest, then to send it.
So its headers say beforehand how long it is, how many rows it has and what their SHA-256 is, and
whoever has the file can tell a complete one from one that was cut. Neither reading holds more than
a thousand rows. What the first one found is kept for the next export of the same data.
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

from api.database.cache import Recent
from api.database.pool import snapshot
from api.middleware.limits import client
from api.queries.assets.listing import read_version, stream_assets, stream_rows
from api.queries.assets.query import AssetQuery
from api.request.client_socket import ClientSocket, Pace
from api.request.instruments import Instruments
from api.request.problems import ExportsBusyError, QueryTimeoutError
from api.responses.cached import cache_control
from api.responses.compression import is_wanted
from api.responses.formats import CSV, NDJSON, content_type, end_lines, header_line
from api.responses.parquet import PARQUET, write_parquet
from api.responses.places import Places
from api.responses.staleness import stale_sources

AT_ONCE = 2
"""How many exports a process sends at once: each holds a thread, a connection and a snapshot."""

LONGEST_SECONDS = 300.0
"""How long one may take: a snapshot that stays open keeps Postgres from cleaning up."""

LEAST_BYTES_PER_SECOND = 1 << 16
"""How fast a client has to take one: as long as it does so, others may have no place."""

SPARE_SECONDS = 5.0
"""How much longer the connection is kept than the export may take, which so ends by itself."""

EXTENSIONS = {CSV: "csv", NDJSON: "ndjson", PARQUET: "parquet"}

Part = TypeVar("Part")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of an export before it is sent."""

    rows: int
    size: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Export:
    """What is exported, and how it is written."""

    wanted: AssetQuery
    media: str
    zipped: bool
    longest: float
    """How many seconds one reading of it may take."""

    def chunks(self, conn: Connection) -> Iterator[tuple[int, bytes]]:
        """Read it from a snapshot: the number of rows in each part of the file, and its bytes."""
        if self.media == PARQUET:
            return write_parquet(self.wanted.columns, self._in_time(stream_rows(conn, self.wanted)))
        return self._lines(self._in_time(stream_assets(conn, self.wanted)))

    def _lines(self, parts: Iterator[list[str]]) -> Iterator[tuple[int, bytes]]:
        packer = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16) if self.zipped else None
        header = header_line(self.media, self.wanted.columns, bom=self.wanted.bom)
        for lines in parts:
            chunk = header + end_lines(self.media, lines)
            header = b""
            yield len(lines), packer.compress(chunk) if packer else chunk
        yield 0, (packer.compress(header) + packer.flush() if packer else header)

    def describe(self, conn: Connection) -> Description:
        """Read it once without sending it.

        Raises:
            QueryTimeoutError: that takes too long.
        """
        rows = size = 0
        digest = sha256()
        try:
            for count, chunk in self.chunks(conn):
                rows, size = rows + count, size + len(chunk)
                digest.update(chunk)
        except TimeoutError as exc:
            raise QueryTimeoutError(f"{exc}; ask for less") from exc
        return Description(rows, size, digest.digest())

    def _in_time(self, parts: Iterator[Part]) -> Iterator[Part]:
        deadline = time.monotonic() + self.longest
        for part in parts:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the export took longer than {self.longest:g} s")
            yield part


class Exports:
    """The exports of this process: who has one under way, and what is known of the last."""

    def __init__(
        self, longest: float = LONGEST_SECONDS, bytes_per_second: float = LEAST_BYTES_PER_SECOND
    ) -> None:
        self.longest = longest
        self.bytes_per_second = bytes_per_second
        self._places = Places(AT_ONCE, 1)
        self._described: Recent[Description] = Recent(200)

    def place(self, client: str) -> AbstractContextManager[None]:
        """Take one of the places for one `with` block; a client has one at most.

        Raises:
            ExportsBusyError: there is none.
        """
        return self._places.place(
            client,
            own=ExportsBusyError("an export of yours is under way; take it to its end first"),
            all_=ExportsBusyError("as many exports as this server sends at once are under way"),
        )

    def describe(self, conn: Connection, export: Export, version: int) -> Description:
        """Describe an export of the data at this version; of the past, always anew.

        What came late, or was reprocessed, changes the past and may change no present asset.
        """
        if export.wanted.moment is not None:
            return export.describe(conn)
        found = self._described.get((export, version))
        if found is None:
            found = export.describe(conn)
            self._described.keep((export, version), found)
        return found


def send(wanted: AssetQuery, media: str) -> Response:
    """Answer with an export; with its description alone where that is enough (HEAD, 304)."""
    exports: Exports = current_app.extensions["exports"]
    zipped = media != PARQUET and is_wanted()
    export = Export(wanted, media, zipped, exports.longest)
    stale = stale_sources()
    with ExitStack() as stack:
        pace = stack.enter_context(pacing(exports))
        stack.enter_context(exports.place(client()))
        conn = stack.enter_context(snapshot(exports.longest + SPARE_SECONDS))
        version, changed_at = read_version(conn)
        described = exports.describe(conn, export, version)
        headers = _headers(export, described, version, None if wanted.moment else changed_at)
        if stale.names:
            headers["X-Stale-Sources"] = ", ".join(stale.names)
        etag = headers["ETag"].strip('"')
        if request.if_none_match.contains_weak(etag):
            return Response(status=304, headers=headers)
        g.rows = described.rows
        headers["Content-Length"] = str(described.size)
        if request.method == "HEAD":
            return Response(headers=headers)
        opened = stack.pop_all()
        cut = partial(_note_cut, current_app.extensions["instruments"])
        response = Response(_body(export, conn, opened, pace, cut), headers=headers)
        response.call_on_close(opened.close)  # for one that is never begun
        return response


@contextmanager
def pacing(exports: Exports) -> Iterator[Pace]:
    """Have this request's client keep the pace of exports, for one `with` block."""
    pace = Pace(exports.bytes_per_second, exports.longest)
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
    opened: ExitStack,
    pace: Pace,
    cut: Callable[[str, int], None],
) -> Iterator[bytes]:
    """Send it; its last part only when its place is free, for who has it all may ask again."""
    held, sent = b"", 0
    try:
        with opened:
            for _, chunk in export.chunks(conn):
                if chunk and held:
                    yield held
                    sent += len(held)
                held = chunk or held
    except TimeoutError as exc:
        # What was sent is shorter than `Content-Length`: the client sees that it was cut.
        cut("too_long", sent)
        raise ConnectionResetError(errno.ECONNRESET, str(exc)) from exc
    except GeneratorExit:
        if pace.broken is not None:
            cut(pace.broken, sent)
        raise
    yield held


def _note_cut(instruments: Instruments, reason: str, sent: int) -> None:
    instruments.export_cut(reason)
    log.warning("an export was cut", extra={"reason": reason, "bytes": sent})


def _headers(
    export: Export, described: Description, version: int, changed_at: float | None
) -> dict[str, str]:
    encoding = {"Content-Encoding": "gzip"} if export.zipped else {}
    changed = {"Last-Modified": http_date(int(changed_at))} if changed_at is not None else {}
    return {
        "Content-Type": content_type(export.media),
        "Content-Disposition": f'attachment; filename="assets.{EXTENSIONS[export.media]}"',
        "ETag": f'"{described.digest.hex()[:32]}"',
        "Repr-Digest": f"sha-256=:{b64encode(described.digest).decode()}:",
        "X-Total-Count": str(described.rows),
        "X-Data-Version": str(version),
        "Cache-Control": cache_control(current_app.extensions["settings"]),
        "Vary": "Accept, Accept-Encoding",
        **encoding,
        **changed,
    }
