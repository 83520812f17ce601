"""The registry of sources: for each name of the catalogue, the class in its module."""

from importlib import import_module

from shared.model.catalogue import SOURCES
from worker.sources.base import Source


def _find_class(name: str) -> type[Source]:
    module = import_module(f"worker.sources.{name}")
    (source,) = (
        member
        for member in vars(module).values()
        if isinstance(member, type)
        and issubclass(member, Source)
        and getattr(member, "name", "") == name
    )
    return source


REGISTRY: dict[str, type[Source]] = {name: _find_class(name) for name in SOURCES}
"""Every source by name."""
