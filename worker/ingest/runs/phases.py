"""Measure how many seconds a run spends in each phase."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from shared.model.runs import PHASES

Item = TypeVar("Item")


class Phases:
    """The seconds that a run has spent in each phase so far.

    A batch is loaded while the next one is fetched and checked, so the sum of the phases can exceed
    the duration of the run. Each phase is timed by one thread: `load` and `commit` by the loading
    thread, the others by the reading thread.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds = dict.fromkeys(PHASES, 0.0)

    def add(self, phase: str, seconds: float) -> None:
        self._seconds[phase] += seconds

    @contextmanager
    def timing(self, phase: str, apart_from: Sequence[str] = ()) -> Iterator[None]:
        """Count the seconds of the block, without those counted for other phases within it."""
        started = self._clock() - self._sum(apart_from)
        try:
            yield
        finally:
            self.add(phase, self._clock() - self._sum(apart_from) - started)

    def each(
        self, phase: str, items: Iterable[Item], apart_from: Sequence[str] = ()
    ) -> Iterator[Item]:
        """Yield the items, and count the seconds that producing them takes."""
        remaining = iter(items)
        while True:
            with self.timing(phase, apart_from):
                item = next(remaining, None)
            if item is None:
                return
            yield item

    def taken(self) -> dict[str, float]:
        """Return the seconds of each phase, to the millisecond."""
        return {phase: round(seconds, 3) for phase, seconds in dict(self._seconds).items()}

    def _sum(self, phases: Sequence[str]) -> float:
        return sum(self._seconds[phase] for phase in phases)
