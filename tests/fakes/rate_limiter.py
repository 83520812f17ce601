"""A source's turns without a database: what the tests of one GET need of `worker.fetch.budget`."""

import time
from collections.abc import Callable


class MemoryTurns:
    """Turns, evenly spaced by this clock; `deferred` lists every pause that was asked for."""

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.deferred: list[float] = []
        self.said: str | None = None
        self.spent: list[str] = []
        self.backed_off: list[float] = []
        self._gap = 60 / per_minute
        self._clock = clock
        self._next = clock()

    def take(self) -> float:
        now = self._clock()
        if now < self._next:
            return self._next - now
        self._next = now + self._gap
        return 0

    def defer(self, seconds: float, said: str = "") -> None:
        self.said = said
        self.deferred.append(seconds)
        self._next = max(self._next, self._clock() + seconds)

    def back_off(self, first: float, longest: float, said: str) -> float:
        seconds = min(longest, first * 2 ** len(self.backed_off))
        self.defer(seconds, said)
        self.backed_off.append(self.deferred.pop())
        return seconds

    def answered(self) -> None:
        self.backed_off = []

    def spend(self, said: str) -> None:
        self.spent.append(said)
