"""Request counts per client, shared by the processes of one gunicorn."""

import fcntl
import hashlib
import mmap
import os
import struct
import tempfile
import threading
import time
import weakref
from pathlib import Path

from limits.storage import Storage

ENTRIES = 1 << 16
"""Number of entries, in 2 MiB. In a full bucket a new client replaces the smallest count."""

BUCKET = 8
"""Entries per bucket. A bucket is read and locked as a whole."""

ENTRY = struct.Struct("<16sdQ")
"""The digest of a key, the end of its window by the monotonic clock, and the count."""


class SharedCounters(Storage):
    """A storage for `limits` in memory that is shared with every process forked from this one.

    It is a set-associative table in an unnamed file. `fcntl` locks one bucket at a time, and the
    kernel releases the locks of a killed process. The size is fixed, and any bytes are valid
    counts, so the file never needs repair. (SQLite in `/dev/shm` was slower: a process that finds
    it locked sleeps, and with two processes one request in a hundred took 3 ms.)
    """

    STORAGE_SCHEME = None

    def __init__(self) -> None:
        super().__init__()
        ram = Path("/dev/shm")  # noqa: S108  the file is unlinked at once
        folder = ram if os.access(ram, os.W_OK) else None
        self._file, path = tempfile.mkstemp(dir=folder)
        weakref.finalize(self, os.close, self._file)
        Path(path).unlink()
        os.truncate(self._file, ENTRIES * ENTRY.size)
        self.memory = mmap.mmap(self._file, ENTRIES * ENTRY.size)
        self._secret = os.urandom(32)  # clients cannot choose addresses of one bucket
        self._lock = threading.Lock()  # for threads: `fcntl` locks exclude only other processes

    @property
    def base_exceptions(self) -> type[Exception]:
        return OSError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count a request and return the count of the current or new window."""
        return self._change(key, expiry, amount)[0]

    def get(self, key: str) -> int:
        return self._change(key, 0, 0)[0]

    def get_expiry(self, key: str) -> float:
        """Return the end of the window as Unix time; without a window, the current time."""
        now = time.monotonic()
        return time.time() + max(self._change(key, 0, 0)[1] - now, 0)

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        with self._lock:
            self.memory[:] = bytes(len(self.memory))
        return None

    def clear(self, key: str) -> None:
        self._change(key, 0, None)

    def _change(self, key: str, expiry: int, amount: int | None) -> tuple[int, float]:
        """Add to a key's count (None deletes it); return the count and the end of its window."""
        digest = hashlib.blake2b(key.encode(), digest_size=16, key=self._secret).digest()
        size = BUCKET * ENTRY.size
        bucket = int.from_bytes(digest[:4], "little") % (ENTRIES // BUCKET) * size
        now = time.monotonic()
        with self._lock:
            fcntl.lockf(self._file, fcntl.LOCK_EX, size, bucket)
            try:
                at, count, end = self._find(digest, bucket, now)
                if amount == 0:
                    return count, end
                end = end if count else now + expiry
                count = count + amount if amount is not None else 0
                ENTRY.pack_into(self.memory, at, digest, end if count else 0.0, count)
                return count, end
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN, size, bucket)

    def _find(self, digest: bytes, bucket: int, now: float) -> tuple[int, int, float]:
        """Return the position for a key's entry, its count, and the end of its window."""
        spare, least = bucket, None
        for at in range(bucket, bucket + BUCKET * ENTRY.size, ENTRY.size):
            owner, end, count = ENTRY.unpack_from(self.memory, at)
            if end <= now:
                count = 0
            elif owner == digest:
                return at, count, end
            if least is None or count < least:
                spare, least = at, count
        return spare, 0, 0.0


_shared: list[SharedCounters] = []


def share_counters() -> None:
    """Create the counters for this process and its forks. A second call keeps the existing ones.

    gunicorn's master calls it, so the counts survive a reload.
    """
    if not _shared:
        _shared.append(SharedCounters())


def find_counters() -> SharedCounters:
    """Return the counters inherited from the parent process, or new ones."""
    return _shared[0] if _shared else SharedCounters()
