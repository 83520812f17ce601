"""A session of `requests` with a total deadline and a stop event.

A socket's timeout applies to each packet, so a peer that sends a byte every few seconds never
reaches it. DNS lookups have no timeout at all. Each exchange therefore runs in its own thread. The
caller waits until the deadline, then shuts down the sockets and abandons the thread.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

import requests
import urllib3
from requests.adapters import HTTPAdapter

from worker.stopping import StopEvent

POLL = 0.05
"""Seconds between checks of the stop event."""

GRACE = 1.0
"""Seconds that a thread gets to end after its sockets were shut down."""

Result = TypeVar("Result")


class DeadlineExceededError(Exception):
    """An exchange exceeded its deadline."""


class StoppedError(Exception):
    """The worker was stopped during an exchange."""


class Session(requests.Session):
    """A session for one exchange at a time, without redirects and without ~/.netrc.

    Redirects are disabled here because `requests` reads their bodies even if it does not follow.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sockets = _Sockets()
        for prefix in ("https://", "http://"):
            self.mount(prefix, _Adapter(self._sockets))
        # With an explicit `auth` the session does not read ~/.netrc.
        self.auth = _no_auth

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002
        return None

    def exchange(self, work: Callable[[], Result], seconds: float, stop: StopEvent) -> Result:
        """Run `work` with this session, and return its result or raise its error.

        Raises:
            DeadlineExceededError, StoppedError: the sockets were shut down. The session cannot be
                used again, and `work` may continue until a DNS lookup ends.
        """
        future: Future[Result] = Future()
        threading.Thread(target=_run, args=(future, work), name="exchange", daemon=True).start()
        deadline = time.monotonic() + seconds
        try:
            while not future.done():
                left = deadline - time.monotonic()
                if stop.is_set() or left <= 0:
                    self._sockets.shut_down()
                    wait([future], GRACE)
                    raise StoppedError if stop.is_set() else DeadlineExceededError
                wait([future], min(POLL, left))
        finally:
            self._sockets.close()
        return future.result()


def _run(future: "Future[Result]", work: Callable[[], Result]) -> None:
    try:
        future.set_result(work())
    except BaseException as exc:  # noqa: BLE001 - raised where the result is read
        future.set_exception(exc)


class _Sockets:
    """Duplicates of the sockets of an exchange.

    `http.client` closes its socket after the headers of a last response, and TLS takes over the
    connected one. A duplicate still refers to the connection.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._duplicates: list[socket.socket] = []
        self._is_shut_down = False

    def add(self, original: socket.socket) -> None:
        duplicate = socket.socket(fileno=os.dup(original.fileno()))
        with self._lock:
            self._duplicates.append(duplicate)
            if self._is_shut_down:
                _shut_down(duplicate)

    def shut_down(self) -> None:
        """Shut down all sockets, including those that are added later."""
        with self._lock:
            self._is_shut_down = True
            for duplicate in self._duplicates:
                _shut_down(duplicate)

    def close(self) -> None:
        with self._lock:
            while self._duplicates:
                self._duplicates.pop().close()


def _shut_down(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the peer closed it first


class _Adapter(HTTPAdapter):
    """Registers the socket of every connection."""

    def __init__(self, sockets: _Sockets) -> None:
        self._sockets = sockets
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self._register(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        is_new = proxy not in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **kwargs)
        if is_new:
            self._register(manager)
        return manager

    def _register(self, manager: urllib3.PoolManager) -> None:
        manager.pool_classes_by_scheme = {
            scheme: self._registering(pool)
            for scheme, pool in manager.pool_classes_by_scheme.items()
        }

    def _registering(self, pool: Any) -> Any:
        sockets = self._sockets

        class Connection(pool.ConnectionCls):  # type: ignore[misc]  # the class is a value
            def _new_conn(self) -> socket.socket:
                connected: socket.socket = super()._new_conn()
                sockets.add(connected)
                return connected

            def request(self, *args: Any, **kwargs: Any) -> None:
                if self.sock is not None:  # reused from an earlier exchange
                    sockets.add(self.sock)
                super().request(*args, **kwargs)

        return type(pool.__name__, (pool,), {"ConnectionCls": Connection})


def _no_auth(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    return prepared
