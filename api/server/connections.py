"""gunicorn's threaded worker, changed so that threads handle only complete requests.

gunicorn 27 assigns a thread to each connection when it is accepted. A client that sends nothing
occupies it for five seconds, and one that sends single bytes without limit. Its event loop also
waits two seconds for a client to close its side. A few such clients block all others. Here the
event loop collects requests, sends to slow readers and closes connections, and it never waits for a
client. TLS would need a handshake as well; use a proxy for it. The alternatives were refused:
psycopg2 blocks an asynchronous worker, and a proxy must not be mandatory.

Clients share the threads (`api.server.thread_pool`). One more thread is reserved for
`/health/live` and `/health/ready`.

gunicorn has no interface for this. Only this module uses undocumented parts of `gthread`;
`tests/unit/test_gunicorn_internals.py` detects upgrades that change them.
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
from api.server.refusals import NO_HOST, TOO_MANY_AT_ONCE, Refusal, refuse
from api.server.request_head import (
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
from api.server.thread_pool import FairThreadPool

REQUEST_SECONDS = 10
"""Time limit for a request to arrive, from the connection or the request's first byte."""

CLOSE_SECONDS = 2
CLOSE_BYTES = 1 << 16
"""Limits for input that is discarded after the last response. Closing a socket with unread input
resets the connection, and the client could lose the response."""

OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
TRY_LATER = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED})


class Connection(TConn):  # type: ignore[misc]  # gunicorn has no types
    """A client's connection, with the received part of its next request."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.received = bytearray()
        self.keep_alive = False
        self.discarded = 0


class NonBlockingWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A threaded worker that slow clients cannot block."""

    client_threads = 3
    """Maximum number of threads for one client; `gunicorn.conf.py` sets the configured number."""

    proxies = 0
    """Number of trusted proxies that provide the client's address; set in the same way."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sending: deque[Connection] = deque()
        self.closing: deque[Connection] = deque()

    def get_thread_pool(self) -> FairThreadPool:
        """Start the threads, including the one for probes."""
        self.probes = FairThreadPool(1, 1, "probe")
        threads = self.cfg.threads
        return FairThreadPool(threads, min(self.client_threads, threads), "request")

    def accept(self, listener: Any) -> None:
        """Accept a connection; at the limit, close the connection that has been idle longest."""
        try:
            accepted, address = listener.accept()
        except OSError as exc:
            if exc.errno in OUT_OF_RESOURCES:
                self._close_idlest()
            elif exc.errno not in TRY_LATER:
                raise
            return
        kind = accepted.family, accepted.type, accepted.proto
        sock = ClientSocket(*kind, fileno=accepted.detach())
        self.nr_conns += 1
        if self.nr_conns >= self.worker_connections:
            self._close_idlest()
        self._await_request(Connection(self.cfg, sock, address, listener.getsockname()))

    def on_client_socket_readable(self, conn: Connection, client: Any) -> None:
        """Collect the next request on a keep-alive connection."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._await_request(conn)

    def finish_request(self, conn: Connection, keep_alive: bool) -> None:
        """Send the rest of the response, then await the next request or close the connection."""
        conn.keep_alive = keep_alive
        if not conn.sock.unsent:
            self._after_response(conn)
            return
        conn.timeout = time.monotonic() + RESPONSE_SECONDS
        self.sending.append(conn)
        self._listen(conn, self._on_writable, selectors.EVENT_WRITE)

    def _on_writable(self, conn: Connection, client: ClientSocket) -> None:
        """Send more of a response to a client that reads it slowly."""
        try:
            if not client.flush():
                return
        except OSError:
            self.sending.remove(conn)
            self._drop(conn)
            return
        self.poller.unregister(client)
        self.sending.remove(conn)
        self._after_response(conn)

    def _after_response(self, conn: Connection) -> None:
        if not conn.keep_alive:
            self._begin_close(conn)
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
        """Answer a request. A body must be short, and ends keep-alive."""
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
        """Enforce the time limits: refuse late requests, close connections of slow clients."""
        now = time.monotonic()
        while self.pending_conns and self.pending_conns[0].timeout <= now:
            conn = self.pending_conns.popleft()
            self.poller.unregister(conn.sock)
            self._handle_verdict(conn, 408 if conn.received else GONE)
        for slow in (self.sending, self.closing):
            while slow and slow[0].timeout <= now:
                self._drop(slow.popleft())

    def _cap_keepalive(self, deadline: float) -> None:
        """When the worker stops, wait only until the deadline for incomplete requests."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def _await_request(self, conn: Connection) -> None:
        """Handle a request as soon as it has arrived, possibly at once."""
        verdict = judge(conn.received) if conn.received else MORE
        if verdict == MORE:
            verdict = receive(conn)
        if verdict != MORE:
            self._handle_verdict(conn, verdict)
            return
        conn.timeout = time.monotonic() + REQUEST_SECONDS
        self.pending_conns.append(conn)
        self._listen(conn, self._on_readable)

    def _on_readable(self, conn: Connection, client: Any) -> None:
        verdict = receive(conn)
        if verdict != MORE:
            self.poller.unregister(client)
            self.pending_conns.remove(conn)
            self._handle_verdict(conn, verdict)

    def _handle_verdict(self, conn: Connection, verdict: int) -> None:
        """Assign a request to a thread, refuse it, or close a connection without one."""
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
        """Queue a request for the threads; return False if its client has too many waiting."""
        is_probe = head.startswith(PROBES)
        # The single thread for probes must not wait for a client.
        conn.sock.send_timeout = 0 if is_probe else RESPONSE_SECONDS
        remote = conn.client[0] if isinstance(conn.client, tuple) else ""
        client = client_of(head, remote, self.proxies, self.wsgi.extensions["keys"])
        pool = self.probes if is_probe else self.tpool
        return bool(pool.submit(client, partial(self._serve, conn)))

    def _serve(self, conn: Connection) -> None:
        """Handle a request in a thread, and return the connection to the event loop."""
        keep_alive = False
        try:
            keep_alive = bool(self.handle(conn))
        except OSError as exc:  # raised while another error was being sent
            self.log.debug("the client disconnected: %s", exc)
        except Exception:
            self.log.exception("Error handling request")
        finally:
            self.method_queue.defer(self.finish_request, conn, keep_alive)

    def _refuse(self, conn: Connection, refusal: Refusal) -> None:
        with contextlib.suppress(OSError):
            # The kernel's buffer has room for a first response.
            conn.sock.send(self._refusal(conn, refusal))
        self._begin_close(conn)

    def _refusal(self, conn: Connection, refusal: Refusal) -> bytes:
        return refuse(refusal, conn.client, self.wsgi.extensions["instruments"])

    def _begin_close(self, conn: Connection) -> None:
        """Close the sending side, and give the client time to close the connection."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)
            return
        conn.timeout = time.monotonic() + CLOSE_SECONDS
        self.closing.append(conn)
        self._listen(conn, self._on_closing)

    def _on_closing(self, conn: Connection, client: Any) -> None:
        try:
            data = client.recv(CLOSE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        conn.discarded += len(data)
        if not data or conn.discarded > CLOSE_BYTES:
            self.closing.remove(conn)
            self._drop(conn)

    def _close_idlest(self) -> None:
        """Close the oldest connection of the first state that has one, the least useful first."""
        for idle in (self.closing, self.keepalived_conns, self.pending_conns, self.sending):
            if idle:
                self._drop(idle.popleft())
                return

    def _listen(self, conn: Connection, callback: Any, event: int = selectors.EVENT_READ) -> None:
        self.poller.register(conn.sock, event, partial(callback, conn))

    def _drop(self, conn: Connection) -> None:
        self.poller.unregister(conn.sock)
        self._close(conn)

    def _close(self, conn: Connection) -> None:
        self.nr_conns -= 1
        conn.close()


def receive(conn: Connection) -> int:
    """Read available data and return the verdict on the request so far."""
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
