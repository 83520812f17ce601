"""gunicorn's threaded worker, in which a thread is given to whole requests alone.

gunicorn 27 gives a thread to each connection from its start: a client that sends nothing holds one
for five seconds, one that sends a byte now and then for ever; and it waits for the client's part of
a goodbye (two seconds) in its only loop. A few such clients would keep everybody else waiting. Here
the loop itself collects each request's head, sends what a client is slow to take of its answer, and
says goodbye; it waits for nobody. TLS would need a handshake too: that is for a proxy in front.

The alternatives were refused: psycopg2 blocks an asynchronous worker, and a proxy must not be
mandatory.

Clients take turns in the threads (`api.server.turns`), and one further thread is reserved for
`/health/live` and `/health/ready`.

gunicorn has no interface for this. What is used of `gthread` beyond its documentation, this module
alone uses; `tests/unit/test_gunicorn_internals.py` says where an upgrade changes it.
"""

import contextlib
import errno
import selectors
import socket
import time
from collections import deque
from functools import partial
from typing import Any

from gunicorn.workers.gthread import (  # type: ignore[import-untyped]
    STOP_KEEPALIVE_LINGER,
    TConn,
    ThreadWorker,
)

from api.request.client_socket import RESPONSE_SECONDS, ClientSocket
from api.server.clients import client_of
from api.server.heads import (
    BODY_BYTES,
    GONE,
    HEAD_BYTES,
    MORE,
    PROBES,
    WHOLE,
    body_length,
    has_one_host,
    judge,
)
from api.server.refusals import NO_HOST, TOO_MANY_AT_ONCE, Refusal, refuse
from api.server.turns import Turns

REQUEST_SECONDS = 10
"""How long a client has for a whole request, from its connection or its first byte on."""

GOODBYE_SECONDS = 2
GOODBYE_BYTES = 1 << 16
"""How much is read and thrown away after an answer, so that it is not lost to a reset."""

NO_MORE_FILES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
TRY_LATER = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED})


class Connection(TConn):  # type: ignore[misc]  # gunicorn has no types
    """A client's connection, with what has arrived of its next request."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.received = bytearray()
        self.is_kept = False
        self.dropped = 0


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A threaded worker that no slow client keeps from serving the others."""

    share = 3
    """How many of the threads work for one client; `gunicorn.conf.py` sets what is configured."""

    proxies = 0
    """How many proxies are trusted to name the client, likewise."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.taking: deque[Connection] = deque()
        self.leaving: deque[Connection] = deque()

    def get_thread_pool(self) -> Turns:
        """Start the threads, the one for probes too."""
        self.probes = Turns(1, 1, "probe")
        return Turns(self.cfg.threads, min(self.share, self.cfg.threads), "request")

    def accept(self, listener: Any) -> None:
        """Take a connection, in place of the one that has been idle longest where all are taken."""
        try:
            taken, address = listener.accept()
        except OSError as exc:
            if exc.errno in NO_MORE_FILES:
                self._make_room()
            elif exc.errno not in TRY_LATER:
                raise
            return
        sock = ClientSocket(taken.family, taken.type, taken.proto, fileno=taken.detach())
        self.nr_conns += 1
        if self.nr_conns >= self.worker_connections:
            self._make_room()
        self._await_request(Connection(self.cfg, sock, address, listener.getsockname()))

    def on_client_socket_readable(self, conn: Connection, client: Any) -> None:
        """Collect a further request on a connection that was kept."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._await_request(conn)

    def finish_request(self, conn: Connection, is_kept: bool) -> None:
        """See that the client takes the whole answer; then keep the connection, or say goodbye."""
        conn.is_kept = is_kept
        if not conn.sock.unsent:
            self._go_on(conn)
            return
        conn.timeout = time.monotonic() + RESPONSE_SECONDS
        self.taking.append(conn)
        self._listen(conn, self._on_taking, selectors.EVENT_WRITE)

    def _on_taking(self, conn: Connection, client: ClientSocket) -> None:
        """Send more of an answer to a client that can take it now."""
        try:
            if not client.flush():
                return
        except OSError:
            self.taking.remove(conn)
            self._forget(conn)
            return
        self.poller.unregister(client)
        self.taking.remove(conn)
        self._go_on(conn)

    def _go_on(self, conn: Connection) -> None:
        if not conn.is_kept:
            self._say_goodbye(conn)
            return
        conn.received += conn.parser.unreader.take_buffered()
        if conn.received:
            self._await_request(conn)
            return
        conn.set_timeout()
        if not self.alive:
            conn.timeout = min(conn.timeout, time.monotonic() + STOP_KEEPALIVE_LINGER)
        self.keepalived_conns.append(conn)
        self._listen(conn, self.on_client_socket_readable)

    def handle_request(self, req: Any, conn: Connection) -> bool:
        """Answer a request; one with a body is the last of its connection, and has to be short."""
        if not has_one_host(req):
            conn.sock.sendall(self._refusal(conn, NO_HOST))
            return False
        length = body_length(req)
        if length > BODY_BYTES:
            conn.sock.sendall(self._refusal(conn, Refusal(413)))
            return False
        if length:
            req.force_close()
        return bool(super().handle_request(req, conn))

    def murder_pending(self) -> None:
        """Refuse requests that take too long to arrive; end answers and goodbyes that do."""
        now = time.monotonic()
        while self.pending_conns and self.pending_conns[0].timeout <= now:
            conn = self.pending_conns.popleft()
            self.poller.unregister(conn.sock)
            self._act(conn, 408 if conn.received else GONE)
        for slow in (self.taking, self.leaving):
            while slow and slow[0].timeout <= now:
                self._forget(slow.popleft())

    def _cap_keepalive(self, deadline: float) -> None:
        """When the worker stops, do not wait long for requests that have not arrived."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def _await_request(self, conn: Connection) -> None:
        """Have a request handled, at once where all of it is here; else when it is."""
        verdict = judge(conn.received) if conn.received else MORE
        if verdict == MORE:
            verdict = receive(conn)
        if verdict != MORE:
            self._act(conn, verdict)
            return
        conn.timeout = time.monotonic() + REQUEST_SECONDS
        self.pending_conns.append(conn)
        self._listen(conn, self._on_more)

    def _on_more(self, conn: Connection, client: Any) -> None:
        verdict = receive(conn)
        if verdict != MORE:
            self.poller.unregister(client)
            self.pending_conns.remove(conn)
            self._act(conn, verdict)

    def _act(self, conn: Connection, verdict: int) -> None:
        """Hand a request to a thread; or refuse it; or see that there will be none."""
        if verdict == WHOLE:
            conn.init()
            conn.data_ready = True
            head = bytes(conn.received)
            conn.parser.unreader.unread(head)
            conn.received.clear()
            if not self._assign(conn, head):
                self._refuse(conn, TOO_MANY_AT_ONCE)
        elif verdict == GONE:
            self._close(conn)
        else:
            self._refuse(conn, Refusal(verdict))

    def _assign(self, conn: Connection, head: bytes) -> bool:
        """Give a request to the threads; return False where its client has too many waiting."""
        is_probe = head.startswith(PROBES)
        # The one thread for probes never waits for a client.
        conn.sock.send_timeout = 0 if is_probe else RESPONSE_SECONDS
        remote = conn.client[0] if isinstance(conn.client, tuple) else ""
        client = client_of(head, remote, self.proxies, self.wsgi.extensions["keys"])
        pool = self.probes if is_probe else self.tpool
        return bool(pool.submit(client, partial(self._serve, conn)))

    def _serve(self, conn: Connection) -> None:
        """Handle a request, in a thread, and give the connection back to the loop."""
        is_kept = False
        try:
            is_kept = bool(self.handle(conn))
        except OSError as exc:  # while it was told of another error
            self.log.debug("The client is gone. %s", exc)
        except Exception:
            self.log.exception("Error handling request")
        finally:
            self.method_queue.defer(self.finish_request, conn, is_kept)

    def _refuse(self, conn: Connection, refusal: Refusal) -> None:
        with contextlib.suppress(OSError):
            # The kernel has room for a first answer.
            conn.sock.send(self._refusal(conn, refusal))
        self._say_goodbye(conn)

    def _refusal(self, conn: Connection, refusal: Refusal) -> bytes:
        return refuse(refusal, conn.client, self.wsgi.extensions["instruments"])

    def _say_goodbye(self, conn: Connection) -> None:
        """End our side, and give the client a moment to end its own."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)
            return
        conn.timeout = time.monotonic() + GOODBYE_SECONDS
        self.leaving.append(conn)
        self._listen(conn, self._on_goodbye)

    def _on_goodbye(self, conn: Connection, client: Any) -> None:
        try:
            dropped = client.recv(GOODBYE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            dropped = b""
        conn.dropped += len(dropped)
        if not dropped or conn.dropped > GOODBYE_BYTES:
            self.leaving.remove(conn)
            self._forget(conn)

    def _make_room(self) -> None:
        """Drop the connection that is missed least."""
        for idle in (self.leaving, self.keepalived_conns, self.pending_conns, self.taking):
            if idle:
                self._forget(idle.popleft())
                return

    def _listen(self, conn: Connection, callback: Any, event: int = selectors.EVENT_READ) -> None:
        self.poller.register(conn.sock, event, partial(callback, conn))

    def _forget(self, conn: Connection) -> None:
        self.poller.unregister(conn.sock)
        self._close(conn)

    def _close(self, conn: Connection) -> None:
        self.nr_conns -= 1
        conn.close()


def receive(conn: Connection) -> int:
    """Read what is there, and say what has come of it."""
    try:
        data = conn.sock.recv(HEAD_BYTES)
    except BlockingIOError:
        return MORE
    except OSError:
        return GONE
    if not data:
        return GONE
    conn.received += data
    return judge(conn.received)
