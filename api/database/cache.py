"""What a process keeps in memory, within bounds."""

import threading
from collections.abc import Hashable
from typing import Any, Generic, Protocol, TypeVar

from cachetools import LRUCache

Value = TypeVar("Value")


class Sized(Protocol):
    """Something that knows how many bytes of memory it takes, about."""

    @property
    def size(self) -> int: ...


class Cache:
    """Keeps values for as long as the mark of `watch.Watch` stays what it was."""

    def __init__(self, size: int) -> None:
        self._values: LRUCache[Hashable, Any] = LRUCache(size, getsizeof=lambda kept: kept.size)
        self._lock = threading.Lock()
        self._mark: int | None = None

    def __contains__(self, key: Hashable) -> bool:
        """Whether there is something under a key, of whatever mark."""
        return key in self._values

    def get(self, key: Hashable, mark: int) -> Any:
        """Return what was kept under a key at this mark; None where there is nothing."""
        with self._lock:
            return self._values.get(key) if mark == self._mark else None

    def keep(self, key: Hashable, mark: int, value: Sized) -> None:
        """Keep a value that was made after the mark was read. What is too large is not kept."""
        with self._lock:
            if self._mark is None or mark > self._mark:
                self._values.clear()
                self._mark = mark
            if mark == self._mark and value.size <= self._values.maxsize:
                self._values[key] = value


class Recent(Generic[Value]):
    """What was found for the last keys that were asked for; what it is good for, its user knows."""

    def __init__(self, most: int) -> None:
        self._found: LRUCache[Hashable, Value] = LRUCache(most)
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Value | None:
        with self._lock:
            return self._found.get(key)

    def keep(self, key: Hashable, value: Value) -> None:
        with self._lock:
            self._found[key] = value
