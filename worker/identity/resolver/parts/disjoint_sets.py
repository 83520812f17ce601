"""Disjoint sets: which items are connected, directly or through others."""

from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class DisjointSets(Generic[Item]):
    """Each item is a set of its own until it is joined with another one."""

    def __init__(self) -> None:
        self._parents: dict[Item, Item] = {}

    def join(self, one: Item, other: Item) -> None:
        self._parents[self.find(one)] = self.find(other)

    def find(self, item: Item) -> Item:
        """Return the root of the item's set, which is the same for all its items."""
        parents = self._parents
        parent = parents.setdefault(item, item)
        while parent != item:
            parents[item] = item = parents[parent]
            parent = parents[item]
        return item
