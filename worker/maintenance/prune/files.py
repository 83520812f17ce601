"""Files that outlive a crash."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Have the names in a folder survive a crash of the machine."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
