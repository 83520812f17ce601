"""A temporary folder, in memory if possible, that is deleted after its processes have ended."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

IN_MEMORY = Path("/dev/shm")  # noqa: S108  `/` may be read-only


@cache
def open_scratch_folder(name: str) -> Path:
    """Create an empty folder for this process. A second call with the same name returns it again.

    Only the user of the process can open it. The process and its forks lock the folder. A later
    process deletes folders without a lock, which belonged to killed processes.
    """
    parent = IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    for existing in parent.glob(f"{name}-*"):
        _remove_if_unused(existing)
    folder = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=parent))
    _lock(folder / "lock", os.O_CREAT)
    return folder.rename(parent / folder.name.removeprefix("."))


def _remove_if_unused(folder: Path) -> None:
    """Delete a folder that no process has locked. Folders of other users are not touched."""
    with contextlib.suppress(OSError):
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            return
        os.close(_lock(folder / "lock"))
        shutil.rmtree(folder)


def _lock(file: Path, flags: int = 0) -> int:
    """Lock a file and return its descriptor. The lock lasts while any process has it open.

    Raises:
        BlockingIOError: another process holds the lock.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
