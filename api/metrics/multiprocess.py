"""What the processes of one API counted together, those that have ended included.

Each process counts in files of its own, named by its id. The files of one that ended are added to
one set, so that a reload a minute for a year leaves no thousands of files to read.
"""

import contextlib
import fcntl
import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

PAST = "past"
"""Stands where a file of a living process has its id."""

KEPT = re.compile("(counter|histogram)_([0-9]+)")


class WholeCollector(Collector):
    """Gives what all processes counted; a scrape by any of them answers for all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Read every file. One that is still empty belongs to a process that just starts."""
        with _locked(self._folder, fcntl.LOCK_SH):
            files = [str(file) for file in self._folder.glob("*.db") if file.stat().st_size]
            metrics: Iterable[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
            return metrics


def forget(folder: Path, pid: int, alive: Collection[int]) -> None:
    """Let go of a process that ended: its gauges are over, its counts are kept.

    The counts of those that ended before and could not be added then are added too. While somebody
    reads the files nothing is added, for the caller must not wait; the next call does it.
    """
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
    with contextlib.suppress(BlockingIOError), _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
        ended = defaultdict(list)
        for file in folder.glob("*_*.db"):
            found = KEPT.fullmatch(file.stem)
            if found and int(found[2]) not in alive:
                ended[found[1]].append(file)
        for kind, files in ended.items():
            _add(folder / f"{kind}_{PAST}.db", files)


def _add(past: Path, files: list[Path]) -> None:
    """Add the counts of some files to the past, and remove them."""
    sources = [str(file) for file in [past, *files] if file.exists() and file.stat().st_size]
    sums = past.with_suffix(".new")
    sums.unlink(missing_ok=True)
    written = MmapedDict(str(sums))  # type: ignore[no-untyped-call]
    for metric in MultiProcessCollector.merge(sources, accumulate=False):  # type: ignore[no-untyped-call]
        for sample in metric.samples:
            names, values = [*sample.labels], [*sample.labels.values()]
            key = mmap_key(metric.name, sample.name, names, values, metric.documentation)
            written.write_value(key, sample.value, 0)  # type: ignore[no-untyped-call]
    written.close()  # type: ignore[no-untyped-call]
    sums.replace(past)
    for file in files:
        file.unlink()


@contextlib.contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    """Keep a scrape from seeing a count in both places, or in none."""
    descriptor = os.open(folder / "sums.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)
