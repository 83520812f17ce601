"""A TCP port that leads to a server's Unix socket, and cuts a connection at the COMMIT it is told.

with Relay(url) as relay:
    relay.cut_at(3, Cut.BEFORE_THE_ANSWER)
    run_worker("run --once", environ(relay.url), folder)

It understands just enough of Postgres' protocol: where one message of the client ends, and which is
a COMMIT.
"""

import contextlib
import enum
import socket
import struct
import threading
from types import TracebackType
from typing import Self

from sqlalchemy.engine import URL

COMMIT = b"Q" + struct.pack("!I", 11) + b"COMMIT\0"
READY = b"Z" + struct.pack("!I", 5) + b"I"


class Cut(enum.Enum):
    """At which side of the server's COMMIT the client loses its connection."""

    BEFORE_IT_ARRIVES = "the server never sees it"
    BEFORE_THE_ANSWER = "the server has committed; the client never hears so"
    WHILE_IT_TRAVELS = "it reaches the server when `release` is set, after the client was cut off"


class Relay:
    """The relay; a `with` block starts and stops it. COMMITs count from when `cut_at` is called."""

    def __init__(self, server: URL) -> None:
        self._target = f"{server.query['host']}/.s.PGSQL.{server.query['port']}"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._commits = 0
        self._at: int | None = None
        self._cut = Cut.BEFORE_IT_ARRIVES
        self._open: list[socket.socket] = []
        self._closing = threading.Event()
        self.cut = threading.Event()
        self.release = threading.Event()
        self.connections = 0
        self.url = server.set(
            host="127.0.0.1",
            port=self._listener.getsockname()[1],
            query={"sslmode": "disable", "gssencmode": "disable"},
        )

    def cut_at(self, commit: int, cut: Cut) -> None:
        """Cut the connection that sends the so-many-th COMMIT from now on, once."""
        with self._lock:
            self._commits, self._at, self._cut = 0, commit, cut
            self.cut.clear()
            self.release.clear()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._closing.set()
        self.release.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._open:
            _hang_up(end)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            self._open += [client, server]
            try:
                server.connect(self._target)
            except OSError:
                _hang_up(client)
                continue
            self.connections += 1
            connection = _Connection(self, client, server)
            threading.Thread(target=connection.pump_questions, daemon=True).start()
            threading.Thread(target=connection.pump_answers, daemon=True).start()

    def _cut_for(self, message: bytes) -> Cut | None:
        """Count a COMMIT, and say how to cut at it, if at this one."""
        if message != COMMIT:
            return None
        with self._lock:
            self._commits += 1
            if self._commits != self._at:
                return None
            self._at = None
            return self._cut


class _Connection:
    def __init__(self, relay: Relay, client: socket.socket, server: socket.socket) -> None:
        self._relay = relay
        self._client = client
        self._server = server
        self._dropping = False
        self._committed = threading.Event()

    def pump_questions(self) -> None:
        """Pass messages on to the server, up to the COMMIT to cut at."""
        with contextlib.suppress(OSError, EOFError):
            self._server.sendall(self._read_message(b""))  # the first has no type
            while True:
                message = self._read_message(self._read(1))
                cut = self._relay._cut_for(message)  # noqa: SLF001
                if cut is not None:
                    self._cut_at(message, cut)
                    return
                self._server.sendall(message)
        self._hang_up()

    def _cut_at(self, message: bytes, cut: Cut) -> None:
        if cut is Cut.WHILE_IT_TRAVELS:
            self._dropping = True
            _hang_up(self._client)
            self._relay.cut.set()
            self._relay.release.wait()
        if cut is not Cut.BEFORE_IT_ARRIVES:
            self._dropping = True
            self._server.sendall(message)
            assert self._committed.wait(60), "the server did not answer to COMMIT"
        self._hang_up()
        self._relay.cut.set()

    def pump_answers(self) -> None:
        """Pass on what the server says; while dropping, only wait for the end of its answer."""
        answer = b""
        with contextlib.suppress(OSError):
            while data := self._server.recv(65536):
                if not self._dropping:
                    self._client.sendall(data)
                    continue
                answer += data
                if answer.endswith(READY):
                    self._committed.set()
                    return
        if not self._dropping:
            self._hang_up()

    def _read_message(self, kind: bytes) -> bytes:
        length = self._read(4)
        return kind + length + self._read(int.from_bytes(length) - 4)

    def _read(self, size: int) -> bytes:
        parts = []
        while size:
            part = self._client.recv(min(size, 65536))
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _hang_up(self) -> None:
        _hang_up(self._client)
        _hang_up(self._server)


def _hang_up(end: socket.socket) -> None:
    """Close a connection, and wake the thread that reads from it."""
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
