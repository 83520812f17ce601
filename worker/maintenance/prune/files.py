"""Durable file operations."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Flush a folder to the disk, so that new names in it survive a crash of the machine."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
