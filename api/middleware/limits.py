"""Rate limits per client: `RateLimit` headers in every response, 429 above the limit."""

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
"""Not limited: a load balancer probes all its processes from one address."""

POLICY = '"default"'

PAUSE_SECONDS = 5
"""How long a failed storage is not used, because every request would wait for it."""

REDIS_SECONDS = 0.2

COUNTED = "kasparro.quota"
"""The key in a request's environment of its client's `Quota`, if it was counted already."""

log = logging.getLogger(__name__)


class RateLimitedError(TooManyRequests):
    problem = "rate_limited"


@dataclass(frozen=True, slots=True)
class Quota:
    """The requests that a client has left, and the seconds until its window ends."""

    remaining: int
    seconds: int
    exceeded: bool


class Limiter:
    """Counts requests per client in fixed windows. A window starts with the first request.

    The counts are shared by gunicorn's processes on this machine or, in Redis, by several machines.
    While Redis cannot be reached, the counts of this machine are used.
    """

    def __init__(self, rate: str, storage_url: str | None = None) -> None:
        self._limit = limits.parse(rate)
        self._local = find_counters()
        self._remote = _open_storage(storage_url) if storage_url else None
        self._resume_at = 0.0
        self.policy = f"{POLICY};q={self._limit.amount};w={self._limit.get_expiry()}"

    def count(self, client: str) -> Quota:
        """Count one request of a client."""
        key = self._limit.key_for(client)
        if self._remote is not None and time.monotonic() >= self._resume_at:
            try:
                return self._count(self._remote, key)
            except StorageError as exc:
                self._resume_at = time.monotonic() + PAUSE_SECONDS
                log.warning(
                    "rate limit storage could not be reached; counting on this machine",
                    extra={"reason": str(exc.storage_error)},
                )
        return self._count(self._local, key)

    def count_locally(self, client: str) -> Quota:
        """Count one request of a client on this machine only, for `has_reached_limit`."""
        return self._count(self._local, self._limit.key_for(client))

    def has_reached_limit(self, client: str) -> bool:
        """Whether this machine has counted as many requests of a client as the limit allows."""
        return self._local.get(self._limit.key_for(client)) >= self._limit.amount

    def headers(self, quota: Quota) -> list[tuple[str, str]]:
        """Write the `RateLimit` headers."""
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
            "API_RATE_LIMIT_STORAGE cannot be used; install kasparro-etl[redis] and check the URL"
        ) from exc
    return cast("Storage", storage)


def check_storage(settings: Settings) -> None:
    """Check the configured storage without connecting to it.

    Raises:
        ConfigurationError: the storage cannot be used.
    """
    if settings.api_rate_limit_storage:
        _open_storage(settings.api_rate_limit_storage)


def limit_requests(app: Flask, settings: Settings) -> None:
    """Answer 429 to a client over its limit, before its request is handled."""
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

    def add_headers(response: Response) -> Response:
        if "quota" in g:
            response.headers.update(limiter.headers(g.quota))
        return response

    app.before_request(count)
    app.after_request(add_headers)


def refuse(quota: Quota) -> NoReturn:
    """Refuse the request with 429.

    Raises:
        RateLimitedError: always.
    """
    g.quota = quota
    raise RateLimitedError(
        f"too many requests; wait {quota.seconds} s and follow the RateLimit headers",
        retry_after=quota.seconds,
    )


def client() -> str:
    """Return the name of the request's client."""
    key = g.get("api_key")
    return name_client(None if key is None else key.id, request.remote_addr)


def name_client(key_id: int | None, remote: str | None) -> str:
    """Return the name of a client: its key if it has a valid one, otherwise its address."""
    return key_client(key_id) if key_id is not None else address(remote or "")


def key_client(key_id: int) -> str:
    return f"key/{key_id}"


@functools.lru_cache(4096)
def address(remote: str) -> str:
    """Name a client by its address; for IPv6 by its /64 network, which one host may have."""
    try:
        ip = ipaddress.ip_address(_without_port(remote).partition("%")[0])
    except ValueError:  # a Unix socket, or a proxy's own format
        return f"address/{remote[:64]}"
    if ip.version == 6:  # noqa: PLR2004
        if ip.ipv4_mapped is not None:
            return f"address/{ip.ipv4_mapped}"
        return f"address/{ipaddress.ip_network((ip, 64), strict=False)}"
    return f"address/{ip}"


def _without_port(remote: str) -> str:
    """Remove the port that some proxies add, and brackets. The port differs per connection."""
    if remote.startswith("["):
        return remote[1:].partition("]")[0]
    host, _, _ = remote.partition(":")
    return host if "." in host and remote.count(":") == 1 else remote
