"""The tables, by area; importing the package registers all of them with `metadata`."""

from shared.schema import identity, market, operations, raw

__all__ = ["identity", "market", "operations", "raw"]
