"""What a contestant loads: passes of snapshots, listed in a file that each of them reads."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

NEW, MOVED, UNCHANGED = "new", "30 % moved", "unchanged"
LOADED = "loaded"
"""The only pass of a CSV file, which is compared with no one's."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Snapshots in the order in which they are loaded, each a source and a file of its records."""

    name: str
    snapshots: Sequence[tuple[str, str]]
    records: int
    new: int
    """How many of the records are not loaded yet when the pass begins."""


def write_plan(file: Path, passes: Sequence[Pass]) -> Path:
    """Write what `read_plan` reads; return the file."""
    file.write_text(json.dumps([asdict(each) for each in passes]))
    return file


def read_plan(file: Path) -> list[Pass]:
    return [Pass(**each) for each in json.loads(file.read_text())]
