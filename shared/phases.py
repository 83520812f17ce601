"""The phases of a run, in which its time is counted."""

from collections.abc import Mapping

PHASES: Mapping[str, str] = {
    "wait": "Waiting for a turn by the request budget, and between attempts",
    "fetch": "Asking the source, and receiving its answers",
    "check": "Reading, decoding and checking records",
    "load": "The statements of the batches",
    "commit": "Moving the checkpoint, and the COMMITs",
}
"""Each phase, and what is counted in it. `runs.phase_seconds` holds the seconds by these names."""
