"""How often each client may ask: the `RateLimit` headers of every answer, and 429 beyond."""

import functools
import ipaddress
import logging
import math
import time
from dataclasses import dataclass
from typing import NoReturn, cast

import limits
from flask import Flask, Response, g, request
from limits.errors import ConfigurationError as LimitsConfigurationError
from limits.errors import StorageError
from limits.storage import Storage, storage_from_string
from werkzeug.exceptions import TooManyRequests

from api.middleware.counters import find_counters
from shared.errors import ConfigurationError
from shared.settings import Settings

PROBES = frozenset({"/health/live", "/health/ready"})
"""Not limited: a balancer asks them from one address for every process that it looks after."""

POLICY = '"default"'

PAUSE_SECONDS = 5
"""How long a storage that failed is not asked; each request would wait for it."""

REDIS_SECONDS = 0.2

COUNTED = "kasparro.quota"
"""Where in its environment a request has the `Standing` of its client, once it was counted."""

log = logging.getLogger(__name__)


class RateLimitedError(TooManyRequests):
    problem = "rate_limited"


@dataclass(frozen=True, slots=True)
class Quota:
    """What a client has left, and in how many seconds it is given all of it again."""

    remaining: int
    seconds: int
    exceeded: bool


class Limiter:
    """Counts requests by client in windows of a fixed length; each begins at a first request.

    The counts are shared by gunicorn's processes on this machine or, in Redis, by several machines.
    While Redis is away the former take its place.
    """

    def __init__(self, rate: str, storage_url: str | None = None) -> None:
        self._limit = limits.parse(rate)
        self._here = find_counters()
        self._there = _open_storage(storage_url) if storage_url else None
        self._resume_at = 0.0
        self.policy = f"{POLICY};q={self._limit.amount};w={self._limit.get_expiry()}"

    def count(self, client: str) -> Quota:
        """Count one request of a client."""
        key = self._limit.key_for(client)
        if self._there is not None and time.monotonic() >= self._resume_at:
            try:
                return self._count(self._there, key)
            except StorageError as exc:
                self._resume_at = time.monotonic() + PAUSE_SECONDS
                log.warning(
                    "the storage of the rate limit is away; this machine's own counts are used",
                    extra={"reason": str(exc.storage_error)},
                )
        return self._count(self._here, key)

    def count_here(self, client: str) -> Quota:
        """Count one request of a client on this machine alone, where `has_spent_all` looks."""
        return self._count(self._here, self._limit.key_for(client))

    def has_spent_all(self, client: str) -> bool:
        """Whether this machine has counted as many requests of a client as one may make."""
        return self._here.get(self._limit.key_for(client)) >= self._limit.amount

    def headers(self, quota: Quota) -> list[tuple[str, str]]:
        """Tell a client where it stands."""
        left = f"{POLICY};r={quota.remaining};t={quota.seconds}"
        return [("RateLimit-Policy", self.policy), ("RateLimit", left)]

    def _count(self, storage: Storage, key: str) -> Quota:
        count = storage.incr(key, self._limit.get_expiry())
        seconds = max(math.ceil(storage.get_expiry(key) - time.time()), 1)
        amount = self._limit.amount
        return Quota(max(amount - count, 0), seconds, count > amount)


def _open_storage(url: str) -> Storage:
    try:
        storage = storage_from_string(
            url,
            wrap_exceptions=True,
            socket_timeout=REDIS_SECONDS,
            socket_connect_timeout=REDIS_SECONDS,
        )
    except (LimitsConfigurationError, ValueError) as exc:
        raise ConfigurationError(
            "API_RATE_LIMIT_STORAGE cannot be used; install kasparro-etl[redis], and check the URL"
        ) from exc
    return cast("Storage", storage)


def check_storage(settings: Settings) -> None:
    """Check that the storage that is set can be used, without connecting to it.

    Raises:
        ConfigurationError: it cannot.
    """
    if settings.api_rate_limit_storage:
        _open_storage(settings.api_rate_limit_storage)


def limit_requests(app: Flask, settings: Settings) -> None:
    """Answer 429 to a client that asked too often, before anything is done for it."""
    if settings.api_rate_limit is None:
        return
    limiter = Limiter(settings.api_rate_limit, settings.api_rate_limit_storage)
    app.extensions["limiter"] = limiter

    def count() -> None:
        if request.path in PROBES:
            return
        g.quota = request.environ.get(COUNTED) or limiter.count(client())
        if g.quota.exceeded:
            refuse(g.quota)

    def tell(response: Response) -> Response:
        if "quota" in g:
            response.headers.update(limiter.headers(g.quota))
        return response

    app.before_request(count)
    app.after_request(tell)


def refuse(quota: Quota) -> NoReturn:
    """Raise what answers 429.

    Raises:
        RateLimitedError: always.
    """
    g.quota = quota
    raise RateLimitedError(
        f"too many requests; wait {quota.seconds} s, and mind the RateLimit headers",
        retry_after=quota.seconds,
    )


def client() -> str:
    """Name who asks: the key where there is a valid one, else the address."""
    key = g.get("api_key")
    return name_client(None if key is None else key.id, request.remote_addr)


def name_client(key_id: int | None, remote: str | None) -> str:
    """Name a client by its key, where it has a valid one, else by its address."""
    return key_client(key_id) if key_id is not None else address(remote or "")


def key_client(key_id: int) -> str:
    """Return what is counted for a key."""
    return f"key/{key_id}"


@functools.lru_cache(4096)
def address(remote: str) -> str:
    """Return what is counted for an address: itself, or the /64 that an IPv6 host has to itself."""
    try:
        ip = ipaddress.ip_address(_without_port(remote).partition("%")[0])
    except ValueError:  # a Unix socket, or what a proxy wrote in its own way
        return f"address/{remote[:64]}"
    if ip.version == 6:  # noqa: PLR2004
        if ip.ipv4_mapped is not None:
            return f"address/{ip.ipv4_mapped}"
        return f"address/{ipaddress.ip_network((ip, 64), strict=False)}"
    return f"address/{ip}"


def _without_port(remote: str) -> str:
    """Take off the port that some proxies write, and the brackets; it is another each time."""
    if remote.startswith("["):
        return remote[1:].partition("]")[0]
    host, _, _ = remote.partition(":")
    return host if "." in host and remote.count(":") == 1 else remote
