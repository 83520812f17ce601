"""The operating system's metrics of the API's processes, combined."""

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

COMBINED: Mapping[str, Callable[[Iterable[float]], float]] = {
    "process_start_time_seconds": min,
    "process_max_fds": min,
    "process_open_fds": max,
}
"""How the values of several processes are combined. The default is the sum."""

TICKS = os.sysconf("SC_CLK_TCK")


class ProcessesCollector(Collector):
    """Combines gunicorn's master and workers, including the processor time of ended workers.

    Otherwise the processor time would fall when a worker ends, and differ by the process that
    answers the scrape.
    """

    def __init__(self, *, of_the_parent: bool) -> None:
        self._of_the_parent = of_the_parent

    def collect(self) -> Iterable[Metric]:
        """Yield `process_…` with the names of prometheus-client."""
        main = os.getppid() if self._of_the_parent else os.getpid()
        workers = list(children(main)) if self._of_the_parent else []
        yield GaugeMetricFamily(
            "kasparro_api_processes",
            "Processes that answer requests. Fewer than usual means that some do not start.",
            value=len(workers) or 1,
        )
        found: dict[str, list[Metric]] = {}
        for pid in [main, *workers]:
            one = ProcessCollector(pid=functools.partial(int, pid), registry=None)
            for metric in one.collect():
                found.setdefault(metric.name, []).append(metric)
        for name, metrics in found.items():
            combined = COMBINED.get(name, sum)(metric.samples[0].value for metric in metrics)
            if name == "process_cpu_seconds":
                combined += seconds_of_ended_children(main)
            metrics[0].samples[0] = metrics[0].samples[0]._replace(value=combined)
            yield metrics[0]


def children(pid: int) -> Iterator[int]:
    """Yield the ids of the running child processes."""
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        yield from map(int, file.read_text().split())


def seconds_of_ended_children(pid: int) -> float:
    """Return the processor time of ended children that the process has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / TICKS
