"""The registry of all collectors of a scrape."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import InfoMetricFamily
from prometheus_client.registry import Collector

from api.metrics.multiprocess import AllProcessesCollector
from api.metrics.operations import OperationsCollector
from api.metrics.processes import ProcessesCollector
from api.request.process_metrics import FOLDER, Instruments
from shared.schema.base import SCHEMA_REVISION


class BuildCollector(Collector):
    """Reports the running version, so that changes of behaviour can be related to releases."""

    def collect(self) -> list[InfoMetricFamily]:
        labels = {
            "version": version("kasparro-etl"),
            "schema_revision": SCHEMA_REVISION,
            "python": platform.python_version(),
        }
        return [InfoMetricFamily("kasparro_build", "The release that answers.", labels)]


def make_registry(instruments: Instruments) -> CollectorRegistry:
    """Make the registry of one application, or of all its processes if they share a folder."""
    folder = os.environ.get(FOLDER)
    registry = CollectorRegistry() if folder else instruments.registry
    if folder:
        registry.register(AllProcessesCollector(Path(folder)))
    registry.register(ProcessesCollector(of_the_parent=bool(folder)))
    registry.register(BuildCollector())
    registry.register(OperationsCollector())
    return registry
