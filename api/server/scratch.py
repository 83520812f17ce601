"""A folder in memory that lasts as long as the processes that use it."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

IN_MEMORY = Path("/dev/shm")  # noqa: S108  the root may be read-only


@cache
def open_scratch_folder(name: str) -> Path:
    """Make this process' folder of that name, empty; asked for again, it is the same one.

    Its own user alone may open it. What a killed process left behind is removed by the next: each
    folder is locked by the process that made it, and by those that it forked since.
    """
    parent = IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    for left in parent.glob(f"{name}-*"):
        _remove_if_left(left)
    made = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=parent))
    _lock(made / "lock", os.O_CREAT)
    return made.rename(parent / made.name.removeprefix("."))


def _remove_if_left(folder: Path) -> None:
    """Remove a folder that no process holds. Another user's cannot be, and is left alone."""
    with contextlib.suppress(OSError):
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            return
        os.close(_lock(folder / "lock"))
        shutil.rmtree(folder)


def _lock(file: Path, flags: int = 0) -> int:
    """Lock a file, and return its descriptor, which holds the lock while any process has it open.

    Raises:
        BlockingIOError: somebody else holds it.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
