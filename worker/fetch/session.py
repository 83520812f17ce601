"""A session of `requests` whose exchanges end at a deadline or at a stop, whatever the peer does.

A socket's timeout is per packet, so a peer that sends a byte every few seconds never reaches it,
and a lookup of a host name has none at all. Each exchange therefore runs in a thread of its own.
The caller waits for it until the deadline, then shuts its sockets down and leaves it.
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

POLL = 0.05
"""Seconds within which a stop is noticed."""

GRACE = 1.0
"""Seconds for an exchange to end after its sockets were shut down."""

Result = TypeVar("Result")


class DeadlineExceededError(Exception):
    """An exchange took longer than it may."""


class StoppedError(Exception):
    """The worker was told to stop during an exchange."""


class Session(requests.Session):
    """A session for one exchange at a time, without redirects and without ~/.netrc.

    `requests` reads even those redirects whole that it is not to follow.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sockets = _Sockets()
        for prefix in ("https://", "http://"):
            self.mount(prefix, _Adapter(self._sockets))
        # An `auth` of its own keeps the session from adding one out of ~/.netrc.
        self.auth = _no_auth

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002
        return None

    def exchange(self, work: Callable[[], Result], seconds: float, stop: threading.Event) -> Result:
        """Return or raise what `work` does with this session, within so many seconds.

        Raises:
            DeadlineExceededError, StoppedError: the sockets were shut down; the session is of no
                further use, and `work` may still run for as long as a name lookup takes.
        """
        done: Future[Result] = Future()
        threading.Thread(target=_settle, args=(done, work), name="exchange", daemon=True).start()
        ends_at = time.monotonic() + seconds
        try:
            while not done.done():
                left = ends_at - time.monotonic()
                if stop.is_set() or left <= 0:
                    self._sockets.shut_down()
                    wait([done], GRACE)
                    raise StoppedError if stop.is_set() else DeadlineExceededError
                wait([done], min(POLL, left))
        finally:
            self._sockets.release()
        return done.result()


def _settle(done: "Future[Result]", work: Callable[[], Result]) -> None:
    try:
        done.set_result(work())
    except BaseException as exc:  # noqa: BLE001 - raised by whoever waits for the result
        done.set_exception(exc)


class _Sockets:
    """Duplicates of the sockets that an exchange uses.

    `http.client` closes its own as soon as it has read the headers of a last answer, and TLS takes
    the connected one over. A duplicate still reaches the connection.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: list[socket.socket] = []
        self._is_shut_down = False

    def hold(self, used: socket.socket) -> None:
        duplicate = socket.socket(fileno=os.dup(used.fileno()))
        with self._lock:
            self._held.append(duplicate)
            if self._is_shut_down:
                _shut_down(duplicate)

    def shut_down(self) -> None:
        """Shut down the sockets of now, and those that are opened later."""
        with self._lock:
            self._is_shut_down = True
            for each in self._held:
                _shut_down(each)

    def release(self) -> None:
        with self._lock:
            while self._held:
                self._held.pop().close()


def _shut_down(used: socket.socket) -> None:
    try:
        used.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the peer was faster


class _Adapter(HTTPAdapter):
    """Has every connection tell which socket it uses."""

    def __init__(self, sockets: _Sockets) -> None:
        self._sockets = sockets
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self._watch(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        is_new = proxy not in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **kwargs)
        if is_new:
            self._watch(manager)
        return manager

    def _watch(self, manager: urllib3.PoolManager) -> None:
        manager.pool_classes_by_scheme = {
            scheme: self._watched(pool) for scheme, pool in manager.pool_classes_by_scheme.items()
        }

    def _watched(self, pool: Any) -> Any:
        sockets = self._sockets

        class Connection(pool.ConnectionCls):  # type: ignore[misc]  # the class is a value
            def _new_conn(self) -> socket.socket:
                connected: socket.socket = super()._new_conn()
                sockets.hold(connected)
                return connected

            def request(self, *args: Any, **kwargs: Any) -> None:
                if self.sock is not None:  # kept from an earlier exchange
                    sockets.hold(self.sock)
                super().request(*args, **kwargs)

        return type(pool.__name__, (pool,), {"ConnectionCls": Connection})


def _no_auth(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    return prepared
