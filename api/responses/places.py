"""Places for work of one kind: how much of it is under way at once, in all and for one client."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from werkzeug.exceptions import HTTPException


class Places:
    """So many places in one process, and so many of them for one client."""

    def __init__(self, most: int, of_a_client: int) -> None:
        self._most, self._of_a_client = most, of_a_client
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()

    @contextmanager
    def place(self, client: str, *, own: HTTPException, all_: HTTPException) -> Iterator[None]:
        """Take a place for one `with` block.

        Raises:
            own: the client has all that it may have.
            all_: all of them are taken.
        """
        with self._lock:
            if self._taken.get(client, 0) >= self._of_a_client:
                raise own
            if self._taken.total() >= self._most:
                raise all_
            self._taken[client] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[client] -= 1
                if not self._taken[client]:
                    del self._taken[client]
