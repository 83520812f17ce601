"""Slots: a limit on concurrent requests of one kind, in total and per client."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from werkzeug.exceptions import HTTPException


class Slots:
    """The slots of one process."""

    def __init__(self, total: int, per_client: int) -> None:
        self._total, self._per_client = total, per_client
        self._lock = threading.Lock()
        self._used: Counter[str] = Counter()

    @contextmanager
    def slot(
        self, client: str, *, client_full: HTTPException, all_full: HTTPException
    ) -> Iterator[None]:
        """Occupy a slot for one `with` block.

        Raises:
            client_full: the client occupies as many slots as it may.
            all_full: all slots are occupied.
        """
        with self._lock:
            if self._used.get(client, 0) >= self._per_client:
                raise client_full
            if self._used.total() >= self._total:
                raise all_full
            self._used[client] += 1
        try:
            yield
        finally:
            with self._lock:
                self._used[client] -= 1
                if not self._used[client]:
                    del self._used[client]
