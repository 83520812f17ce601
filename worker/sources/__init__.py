"""The class that reads each source of the catalogue, from the module of that name."""

from importlib import import_module

from shared.model.catalogue import SOURCES
from worker.sources.base import Source


def _find_class(name: str) -> type[Source]:
    module = import_module(f"worker.sources.{name}")
    (found,) = (
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Source) and getattr(each, "name", "") == name
    )
    return found


REGISTRY: dict[str, type[Source]] = {name: _find_class(name) for name in SOURCES}
"""Every source by name."""
