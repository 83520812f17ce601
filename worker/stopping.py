"""Stopping in order: an event that signal handlers may set, and the handlers."""

import queue
import signal
from collections.abc import Iterator
from contextlib import contextmanager


class StopEvent:
    """An event like `threading.Event`, but a signal handler may set it.

    `threading.Event.set` takes a lock. A handler runs in the main thread, between two of its
    instructions; if `wait` holds the lock there, the process hangs. `queue.SimpleQueue.put` is
    reentrant: https://docs.python.org/3/library/queue.html#simplequeue-objects
    """

    def __init__(self) -> None:
        self._is_set = False
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self) -> None:
        """Set the event and wake all threads that wait for it. It stays set."""
        self._is_set = True
        self._wakes.put(None)

    def is_set(self) -> bool:
        """Whether the event was set."""
        return self._is_set

    def wait(self, seconds: float) -> bool:
        """Wait until the event is set, or for so many seconds; return whether it is set."""
        if not self._is_set:
            try:
                self._wakes.get(timeout=max(0, seconds))
            except queue.Empty:
                return self._is_set
            self._wakes.put(None)  # wakes the next thread
        return self._is_set


@contextmanager
def stop_on_signals(stop: StopEvent) -> Iterator[None]:
    """Set the event on Ctrl-C, on SIGTERM and when the terminal closes, during the block.

    Under `nohup`, which ignores SIGHUP, the terminal may close.
    """
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    previous = {number: signal.getsignal(number) for number in numbers}
    try:
        for number in numbers:
            signal.signal(number, lambda *_: stop.set())
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
