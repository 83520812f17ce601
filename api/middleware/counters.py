"""Counters that the processes of one gunicorn share: how often each client asked of late."""

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
"""How many clients are told apart at once, in 2 MiB. One more takes the least busy's place."""

BUCKET = 8
"""How many entries a client can have: those of its bucket, which is read and locked as a whole."""

ENTRY = struct.Struct("<16sdQ")
"""The digest of a key, when its window ends by the monotonic clock, and the count."""


class SharedCounters(Storage):
    """A storage for `limits` in memory that is shared with every process forked from here.

    A set-associative table in a file without a name, locked bucket by bucket with `fcntl`: the
    kernel frees the lock of a process that is killed, its size is fixed, and any bytes in it are
    counts, so there is nothing to repair. (SQLite in `/dev/shm` was measured too: whoever finds it
    locked sleeps, and with two processes one request in a hundred took 3 ms.)
    """

    STORAGE_SCHEME = None

    def __init__(self) -> None:
        super().__init__()
        ram = Path("/dev/shm")  # noqa: S108  only where to put it; its name goes at once
        folder = ram if os.access(ram, os.W_OK) else None
        self._file, path = tempfile.mkstemp(dir=folder)
        weakref.finalize(self, os.close, self._file)
        Path(path).unlink()
        os.truncate(self._file, ENTRIES * ENTRY.size)
        self.memory = mmap.mmap(self._file, ENTRIES * ENTRY.size)
        self._secret = os.urandom(32)  # nobody can choose an address that shares another's bucket
        self._lock = threading.Lock()  # between threads: what `fcntl` locks is a process'

    @property
    def base_exceptions(self) -> type[Exception]:
        return OSError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count a request, and return how many there were in the window that is open or begins."""
        return self._change(key, expiry, amount)[0]

    def get(self, key: str) -> int:
        return self._change(key, 0, 0)[0]

    def get_expiry(self, key: str) -> float:
        """Return when the window ends, in seconds since 1970; now, where none is open."""
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
        """Add to a key's count (None: forget it); return the count and when its window ends."""
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
        """Return where a key's entry is or would go, its count, and when its window ends."""
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
    """Make the counters of all processes that are forked from this one; a second call keeps them.

    gunicorn's master calls it, so that the counts outlive a reload.
    """
    if not _shared:
        _shared.append(SharedCounters())


def find_counters() -> SharedCounters:
    """Return the counters that this process was forked with, or new ones of its own."""
    return _shared[0] if _shared else SharedCounters()
