"""A client's socket, which keeps what the client does not take at once, for gunicorn's loop."""

import errno
import select
import socket
import threading
import time
from typing import Any

ANSWER_SECONDS = 30
"""How long a client may take to receive an answer, or one piece of it where it is a stream."""

KEPT_BYTES = 1 << 20
"""How much is kept for one client: more than any answer has that is no stream."""

KEPT_BYTES_IN_ALL = 1 << 25

GRACE_SECONDS = 10.0
"""How long a client of a stream may take nothing, beyond what its pace allows."""


class Budget:
    """How many bytes this process may still keep."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Take some of it, unless there is not as much left."""
        with self._lock:
            enough = size <= self._left
            self._left -= size if enough else 0
        return enough

    def give_back(self, size: int) -> None:
        with self._lock:
            self._left += size


class Pace:
    """How fast a client has to take a stream, and until when.

    Counted is the time that it was waited for, and what it has taken since it was waited for first:
    what the system's buffers took before says nothing of the client.
    """

    def __init__(
        self, bytes_per_second: float, max_seconds: float, grace: float = GRACE_SECONDS
    ) -> None:
        self._bytes_per_second = bytes_per_second
        self._grace = grace
        self._end = time.monotonic() + max_seconds
        self._waited = 0.0
        self._taken = 0
        self.violation: str | None = None
        """Why the stream was cut: `too_slow` or `too_long`; None while it was not."""

    def took(self, size: int) -> None:
        if self._waited:
            self._taken += size

    def waited(self, seconds: float) -> None:
        self._waited += seconds

    def left(self) -> float:
        """Return for how many more seconds the client may be waited for at present."""
        allowed = self._grace + self._taken / self._bytes_per_second
        return min(allowed - self._waited, self._end - time.monotonic())

    def cut(self) -> None:
        """Note that the client did not take its stream in time."""
        self.violation = "too_long" if time.monotonic() >= self._end else "too_slow"


class ClientSocket(socket.socket):
    """A socket whose `sendall` seldom waits: what the kernel does not take is kept in `unsent`.

    Who calls it goes on, and gunicorn's loop sends the rest by `flush`. Only when too much is kept,
    as of a stream, is the client waited for, at most so long as its patience says.
    """

    budget = Budget(KEPT_BYTES_IN_ALL)

    def __init__(self, *args: Any, patience: float = ANSWER_SECONDS, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.patience = patience
        self.pace: Pace | None = None
        self.unsent = bytearray()
        self.settimeout(0.0)

    def setblocking(self, _flag: bool, /) -> None:
        """Stay as it is: gunicorn would have it block in its threads."""

    def sendall(self, data: Any, _flags: int = 0, /) -> None:
        """Send it, or keep it to be sent.

        Raises:
            ConnectionResetError: the client is gone, or takes too little too slowly.
        """
        deadline = time.monotonic() + self.patience
        rest = memoryview(data)
        while True:
            if self.flush():
                rest = rest[self._send_some(rest) :]
            if not rest or self._keep(rest):
                return
            self._wait(deadline)

    def flush(self) -> bool:
        """Send of what is kept as much as can be sent now, and return whether that was all."""
        if self.unsent:
            with memoryview(self.unsent) as kept:
                sent = self._send_some(kept)
            del self.unsent[:sent]
            self.budget.give_back(sent)
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
            self.pace.took(sent)
        return sent

    def _keep(self, rest: memoryview) -> bool:
        if len(self.unsent) + len(rest) > KEPT_BYTES or not self.budget.take(len(rest)):
            return False
        self.unsent += rest
        return True

    def _drop(self) -> None:
        self.budget.give_back(len(self.unsent))
        self.unsent.clear()

    def _wait(self, deadline: float) -> None:
        started = time.monotonic()
        seconds = deadline - started
        if self.pace is not None:
            seconds = min(seconds, self.pace.left())
        poll = select.poll()
        poll.register(self, select.POLLOUT)
        ready = poll.poll(max(seconds, 0) * 1000)
        if self.pace is not None:
            self.pace.waited(time.monotonic() - started)
        if not ready:
            if self.pace is not None:
                self.pace.cut()
            self._drop()
            raise ConnectionResetError(errno.ECONNRESET, "too slow to take its answer")
