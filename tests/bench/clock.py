"""What a pass takes: seconds, and seconds of CPU, which others on the machine hardly lengthen."""

import contextlib
import os
import time
from pathlib import Path

import psycopg2

from tests.bench.measure import report

TICKS = os.sysconf("SC_CLK_TCK")


class Clock:
    """Measures `with` blocks, one after another, of which `report` hands over the sum.

    CPU is this process's, and the server's where there is one: of all its processes, dead ones too.
    Without Linux's `/proc` there is only the former.
    """

    def __init__(self, url: str | None = None) -> None:
        self._postmaster = url and _parent_of_backend(url)
        self._seconds = self._cpu = 0.0

    def __enter__(self) -> None:
        self._cpu -= self._used()
        self._seconds -= time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._seconds += time.perf_counter()
        self._cpu += self._used()

    def report(self, name: str, records: int) -> None:
        """Hand over what a pass of so many records took, and begin anew."""
        report(name, records, self._seconds, self._cpu)
        self._seconds = self._cpu = 0.0

    def _used(self) -> float:
        used = time.process_time()
        if self._postmaster:
            own = _stat(self._postmaster)
            used += sum(map(int, own[11:15])) / TICKS  # user, system, and of its dead children
            for folder in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    child = _stat(folder.name)
                    if child[1] == self._postmaster:
                        used += sum(map(int, child[11:13])) / TICKS
        return used


def _parent_of_backend(url: str) -> str | None:
    with contextlib.closing(psycopg2.connect(url)) as connection:
        try:
            return _stat(str(connection.info.backend_pid))[1]
        except OSError:
            return None


def _stat(pid: str) -> list[str]:
    """Read the fields of `/proc/PID/stat` after the name: its state, its parent, and so on."""
    return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
