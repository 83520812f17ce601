"""Metrics of all processes of one API, including ended ones.

Each process counts in its own files, named by its id. The files of ended processes are merged, so
that frequent reloads do not leave thousands of files to read.
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

ENDED = "past"
"""Replaces the process id in the name of a merged file."""

MERGED_FILE = re.compile("(counter|histogram)_([0-9]+)")


class AllProcessesCollector(Collector):
    """Collects the counts of all processes; any process can answer a scrape."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Read every file. Empty files belong to processes that are just starting."""
        with _locked(self._folder, fcntl.LOCK_SH):
            files = [str(file) for file in self._folder.glob("*.db") if file.stat().st_size]
            metrics: Iterable[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
            return metrics


def merge_ended(folder: Path, pid: int, alive: Collection[int]) -> None:
    """Delete the gauges of an ended process and merge its counts.

    Earlier ended processes that are not merged yet are included. While another process reads the
    files, nothing is merged, because the caller must not wait. The next call merges them.
    """
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
    with contextlib.suppress(BlockingIOError), _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
        ended = defaultdict(list)
        for file in folder.glob("*_*.db"):
            found = MERGED_FILE.fullmatch(file.stem)
            if found and int(found[2]) not in alive:
                ended[found[1]].append(file)
        for kind, files in ended.items():
            _merge(folder / f"{kind}_{ENDED}.db", files)


def _merge(target: Path, files: list[Path]) -> None:
    """Add the counts of some files to the target, and delete the files."""
    sources = [str(file) for file in [target, *files] if file.exists() and file.stat().st_size]
    sums = target.with_suffix(".new")
    sums.unlink(missing_ok=True)
    written = MmapedDict(str(sums))  # type: ignore[no-untyped-call]
    for metric in MultiProcessCollector.merge(sources, accumulate=False):  # type: ignore[no-untyped-call]
        for sample in metric.samples:
            names, values = [*sample.labels], [*sample.labels.values()]
            key = mmap_key(metric.name, sample.name, names, values, metric.documentation)
            written.write_value(key, sample.value, 0)  # type: ignore[no-untyped-call]
    written.close()  # type: ignore[no-untyped-call]
    sums.replace(target)
    for file in files:
        file.unlink()


@contextlib.contextmanager
def _locked(folder: Path, mode: int) -> Iterator[None]:
    """Lock the files, so that no scrape sees a count twice or not at all during a merge."""
    descriptor = os.open(folder / "sums.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, mode)
        yield
    finally:
        os.close(descriptor)
