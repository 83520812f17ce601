"""Points at which a failure can be injected."""

from dataclasses import dataclass

CRASH_POINTS = (
    "before_copy",
    "after_raw",
    "after_listings",
    "after_observations",
    "after_assets",
    "before_checkpoint",
    "before_commit",
    "after_commit",
)
"""The points of a batch, in the order they are come to."""

FAULT_POINTS = (*CRASH_POINTS, "before_attach", "before_drop", "before_run_end")
"""Where `FAULT` can kill the worker; the last: a partition is made, one is pruned, a run ends."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Where the worker kills itself: the nth batch that comes to a point."""

    point: str
    batch: int = 1
