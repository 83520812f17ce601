"""What a request may take, and the turns that it waits for."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a request may take (in seconds and bytes), and when to stop trying.

    `answer` is the time for connecting, headers and body of one attempt together, however steadily
    they arrive. `request` is the time for all attempts and the pauses between them, without the
    waits for a turn. `body_bytes` counts what an answer unpacks to.

    The pause before attempt n+1 is a random part of `backoff * 2**n`, at most `longest_backoff`; or
    what the source asked for with `Retry-After`, where that is no more than `longest_wait`. A
    longer one ends the run. It is believed up to `longest_pause`; after that, one request probes.
    A source that says 429 to the last attempt, and not for how long, is not asked for
    `first_pause`, then twice as long each time, up to `longest_own_pause`. Any answer that is no
    429 ends that: the next such pause is `first_pause` again.
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

SHORTEST = 0.1
"""Seconds that any attempt may take."""


class Turns(Protocol):
    """When a source may be asked, by its budget; `worker.fetch.budget.Budget` keeps one.

    `said` is why the source is not asked, where `take` last ran into a pause.
    """

    said: str | None

    def take(self) -> float:
        """Take a turn and return 0, or take none and return the seconds until there may be one."""

    def defer(self, seconds: float, said: str) -> None:
        """Give no turn for so long: the source asked for that, and said this."""

    def back_off(self, first: float, longest: float, said: str) -> float:
        """Give no turn for `first` seconds, or for twice the last pause; 0 where one stands."""

    def answered(self) -> None:
        """Take note of an answer that is no 429: the next `back_off` is for `first` again."""

    def spend(self, said: str) -> None:
        """Give no turn until the next month: the source said that the requests of this are used."""


@dataclass(slots=True)
class Attempts:
    """The time that is left for the attempts of one request; waits for a turn take none of it."""

    left: float
    counted_until: float | None = None

    def begin(self, asked_at: float, now: float) -> float:
        """Begin an attempt whose turn was asked for then; return the seconds that it may take."""
        self.count(asked_at)
        self.counted_until = now
        return max(self.left, SHORTEST)

    def count(self, now: float) -> float:
        """Count the time since the last attempt began, and return what is left."""
        if self.counted_until is not None:
            self.left -= now - self.counted_until
            self.counted_until = now
        return self.left
