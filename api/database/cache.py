"""Bounded in-memory caches of one process."""

import math
import threading
from collections.abc import Hashable
from typing import Any, Generic, Protocol, TypeVar

from cachetools import LRUCache, TTLCache

Value = TypeVar("Value")


class Sized(Protocol):
    """A value that estimates its memory use in bytes."""

    @property
    def size(self) -> int: ...


class Cache:
    """Caches values until `ChangeListener.mark` changes. Evicts the least recently used."""

    def __init__(self, size: int) -> None:
        self._values: LRUCache[Hashable, Any] = LRUCache(size, getsizeof=lambda value: value.size)
        self._lock = threading.Lock()
        self._mark: int | None = None

    def __contains__(self, key: Hashable) -> bool:
        """Whether a key is cached, possibly with an older mark."""
        return key in self._values

    def get(self, key: Hashable, mark: int) -> Any:
        """Return the value that was cached at this mark, or None."""
        with self._lock:
            return self._values.get(key) if mark == self._mark else None

    def put(self, key: Hashable, mark: int, value: Sized) -> None:
        """Cache a value that was made after the mark was read, unless it exceeds the cache."""
        with self._lock:
            if self._mark is None or mark > self._mark:
                self._values.clear()
                self._mark = mark
            if mark == self._mark and value.size <= self._values.maxsize:
                self._values[key] = value


class RecentValues(Generic[Value]):
    """The values of the most recently used keys; with `seconds`, only those put that recently.

    The caller checks whether they are still valid.
    """

    def __init__(self, size: int, seconds: float = math.inf) -> None:
        self._values: TTLCache[Hashable, Value] = TTLCache(size, seconds)
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Value | None:
        with self._lock:
            return self._values.get(key)

    def put(self, key: Hashable, value: Value) -> None:
        with self._lock:
            self._values[key] = value
