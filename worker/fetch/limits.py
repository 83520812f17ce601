"""Limits of time and size for requests, and the interface of the rate limiter.

`client.py` applies them; `failures.py` tells the operator how they apply to a pause.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of a request, in seconds and bytes, and of its attempts.

    `answer` is the total time of one attempt: connecting, headers and body. `request` is the time
    of all attempts and the pauses between them, without the waits for the rate limiter.
    `body_bytes` limits the decompressed body.

    The pause before attempt n+1 is a random part of `backoff * 2**n`, at most `longest_backoff`.
    If the source sent `Retry-After`, that pause is used, up to `longest_wait`. A longer one ends
    the run, and no run sends requests until it is over, but at most for `longest_pause`.

    If the last attempt gets 429 without `Retry-After`, no requests are sent for `first_pause`. Each
    time this is repeated the pause doubles, up to `longest_own_pause`. Any other response resets
    it to `first_pause`.
    """

    connect: float = 5
    read: float = 30
    answer: float = 120
    request: float = 300
    body_bytes: int = 64 * 1024 * 1024
    attempts: int = 5
    backoff: float = 1
    longest_backoff: float = 60
    longest_wait: float = 180
    longest_pause: float = 6 * 60 * 60
    first_pause: float = 60
    longest_own_pause: float = 60 * 60


DEFAULT_LIMITS = Limits()

MIN_ATTEMPT_SECONDS = 0.1
"""Every attempt may take at least this long."""


class RateLimiter(Protocol):
    """Decides when a request may be sent; `worker.fetch.budget.Budget` is the implementation.

    `pause_message` is the provider's message if `acquire` was refused because of a pause.
    """

    pause_message: str | None

    def acquire(self) -> float:
        """Count a request and return 0, or return the seconds to wait before asking again."""

    def pause(self, seconds: float, message: str) -> None:
        """Allow no request for this time, because the source asked for it with this message."""

    def back_off(self, first: float, longest: float, message: str) -> float:
        """Pause for `first` seconds or twice the last pause; return 0 if a pause is active."""

    def reset_backoff(self) -> None:
        """Let the next `back_off` start at `first` again, after a response that is not 429."""

    def pause_until_next_month(self, message: str) -> None:
        """Allow no request before the next month, because the source reported its limit."""


@dataclass(slots=True)
class Attempts:
    """The time left for all attempts of a request, without the waits for the rate limiter."""

    left: float
    counted_until: float | None = None

    def begin(self, waiting_since: float, now: float) -> float:
        """Start an attempt that waited for the rate limiter; return the seconds it may take."""
        self.count(waiting_since)
        self.counted_until = now
        return max(self.left, MIN_ATTEMPT_SECONDS)

    def count(self, now: float) -> float:
        """Subtract the time since the last attempt began, and return the rest."""
        if self.counted_until is not None:
            self.left -= now - self.counted_until
            self.counted_until = now
        return self.left
