"""A client's socket that buffers unsent data, so that slow clients do not block threads."""

import errno
import select
import socket
import threading
import time
from typing import Any

RESPONSE_SECONDS = 30
"""Time limit for a client to receive a response, or one chunk of a stream."""

MAX_BUFFERED_BYTES = 1 << 20
"""Buffer limit of one client: larger than any response that is not streamed."""

MAX_BUFFERED_BYTES_IN_TOTAL = 1 << 25

GRACE_SECONDS = 10.0
"""Time that a client may spend without reading a stream, in addition to the minimum rate."""


class Budget:
    """The bytes that this process may still buffer for all clients."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._lock = threading.Lock()

    def reserve(self, size: int) -> bool:
        """Reserve some bytes; return False if not enough are free."""
        with self._lock:
            enough = size <= self._free
            self._free -= size if enough else 0
        return enough

    def release(self, size: int) -> None:
        with self._lock:
            self._free += size


class Pace:
    """The minimum rate and the time limit at which a client has to read a stream.

    Only the time spent waiting for the client counts, and the bytes that it read since the first
    wait. Earlier bytes went to the system's buffers and say nothing about the client.
    """

    def __init__(
        self, bytes_per_second: float, max_seconds: float, grace: float = GRACE_SECONDS
    ) -> None:
        self._bytes_per_second = bytes_per_second
        self._grace = grace
        self._end = time.monotonic() + max_seconds
        self._seconds_waited = 0.0
        self._bytes_sent = 0
        self.violation: str | None = None
        """Why the stream was cut: `too_slow` or `too_long`; None if it was not cut."""

    def add_sent(self, size: int) -> None:
        if self._seconds_waited:
            self._bytes_sent += size

    def add_wait(self, seconds: float) -> None:
        self._seconds_waited += seconds

    def seconds_left(self) -> float:
        """Return how much longer the server may wait for the client now."""
        allowed = self._grace + self._bytes_sent / self._bytes_per_second
        return min(allowed - self._seconds_waited, self._end - time.monotonic())

    def cut(self) -> None:
        """Record that the client did not read the stream in time."""
        self.violation = "too_long" if time.monotonic() >= self._end else "too_slow"


class ClientSocket(socket.socket):
    """A socket whose `sendall` rarely waits: data that the kernel does not accept is buffered.

    The caller continues, and gunicorn's loop sends the rest with `flush`. `sendall` waits for the
    client only when the buffer is full, as for a stream, and at most `send_timeout` seconds.
    """

    budget = Budget(MAX_BUFFERED_BYTES_IN_TOTAL)

    def __init__(self, *args: Any, send_timeout: float = RESPONSE_SECONDS, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.send_timeout = send_timeout
        self.pace: Pace | None = None
        self.unsent = bytearray()
        self.settimeout(0.0)

    def setblocking(self, _flag: bool, /) -> None:
        """Do nothing: gunicorn would make the socket block in its threads."""

    def sendall(self, data: Any, _flags: int = 0, /) -> None:
        """Send the data, or buffer it for `flush`.

        Raises:
            ConnectionResetError: the client disconnected, or reads too slowly.
        """
        deadline = time.monotonic() + self.send_timeout
        rest = memoryview(data)
        while True:
            if self.flush():
                rest = rest[self._send_some(rest) :]
            if not rest or self._buffer(rest):
                return
            self._wait(deadline)

    def flush(self) -> bool:
        """Send as much of the buffer as possible without waiting; return whether it is empty."""
        if self.unsent:
            with memoryview(self.unsent) as buffered:
                sent = self._send_some(buffered)
            del self.unsent[:sent]
            self.budget.release(sent)
        return not self.unsent

    def close(self) -> None:
        self._drop()
        super().close()

    def _send_some(self, data: memoryview) -> int:
        try:
            sent = self.send(data)
        except BlockingIOError:
            return 0
        if self.pace is not None:
            self.pace.add_sent(sent)
        return sent

    def _buffer(self, rest: memoryview) -> bool:
        too_much = len(self.unsent) + len(rest) > MAX_BUFFERED_BYTES
        if too_much or not self.budget.reserve(len(rest)):
            return False
        self.unsent += rest
        return True

    def _drop(self) -> None:
        self.budget.release(len(self.unsent))
        self.unsent.clear()

    def _wait(self, deadline: float) -> None:
        started = time.monotonic()
        seconds = deadline - started
        if self.pace is not None:
            seconds = min(seconds, self.pace.seconds_left())
        poll = select.poll()
        poll.register(self, select.POLLOUT)
        ready = poll.poll(max(seconds, 0) * 1000)
        if self.pace is not None:
            self.pace.add_wait(time.monotonic() - started)
        if not ready:
            if self.pace is not None:
                self.pace.cut()
            self._drop()
            raise ConnectionResetError(errno.ECONNRESET, "client too slow to read the response")
