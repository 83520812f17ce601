"""What one scrape gathers."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import InfoMetricFamily
from prometheus_client.registry import Collector

from api.metrics.loading import LoadingCollector
from api.metrics.past import WholeCollector
from api.metrics.processes import ProcessesCollector
from api.request.instruments import FOLDER, Instruments
from shared.schema.base import SCHEMA_REVISION


class BuildCollector(Collector):
    """Names what runs here, to lay a change of behaviour beside a change of version."""

    def collect(self) -> list[InfoMetricFamily]:
        labels = {
            "version": version("kasparro-etl"),
            "schema_revision": SCHEMA_REVISION,
            "python": platform.python_version(),
        }
        return [InfoMetricFamily("kasparro_build", "Which code answers.", labels)]


def gather(instruments: Instruments) -> CollectorRegistry:
    """Make the registry of one application: of all its processes where they count together."""
    folder = os.environ.get(FOLDER)
    registry = CollectorRegistry() if folder else instruments.registry
    if folder:
        registry.register(WholeCollector(Path(folder)))
    registry.register(ProcessesCollector(of_the_parent=bool(folder)))
    registry.register(BuildCollector())
    registry.register(LoadingCollector())
    return registry
