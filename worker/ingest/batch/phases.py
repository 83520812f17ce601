"""Where a run's time goes: seconds by phase, counted while it works."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from shared.model.runs import PHASES

Item = TypeVar("Item")


class Phases:
    """What each phase of a run took so far.

    A batch is loaded while the next is fetched and checked, so that together the phases may take
    longer than the run. Each is timed by one thread: the first three by that which reads, `load`
    and `commit` by that which loads.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds = dict.fromkeys(PHASES, 0.0)

    def add(self, phase: str, seconds: float) -> None:
        self._seconds[phase] += seconds

    @contextmanager
    def timing(self, phase: str, apart_from: Sequence[str] = ()) -> Iterator[None]:
        """Count what the block takes, less what is counted in it for other phases."""
        started = self._clock() - self._sum(apart_from)
        try:
            yield
        finally:
            self.add(phase, self._clock() - self._sum(apart_from) - started)

    def each(
        self, phase: str, items: Iterable[Item], apart_from: Sequence[str] = ()
    ) -> Iterator[Item]:
        """Give the items, and count what it takes to come by them."""
        remaining = iter(items)
        while True:
            with self.timing(phase, apart_from):
                found = next(remaining, None)
            if found is None:
                return
            yield found

    def taken(self) -> dict[str, float]:
        """Return the seconds of each phase, to the millisecond."""
        return {phase: round(seconds, 3) for phase, seconds in dict(self._seconds).items()}

    def _sum(self, phases: Sequence[str]) -> float:
        return sum(self._seconds[phase] for phase in phases)
