"""What every contestant reports, and how one is run: in a process of its own, for its own peak."""

import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MACHINE = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"

MARK = "outcome: "
"""Before what a contestant reports, so that it may write other lines too."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One contestant's one pass: seconds of CPU are its own and the server's.

    `peak` is its process's largest memory until then, in bytes.
    """

    name: str
    records: int
    seconds: float
    cpu: float
    peak: int

    @property
    def rate(self) -> float:
        return self.records / self.seconds


def report(name: str, records: int, seconds: float, cpu: float) -> None:
    """Hand the outcome of a pass to the process that started this one."""
    outcome = json.dumps(asdict(Outcome(name, records, seconds, cpu, _peak())))
    sys.stdout.write(f"{MARK}{outcome}\n")


def run(
    python: Path | str, module: str, *arguments: object, environ: Mapping[str, str] | None = None
) -> list[Outcome]:
    """Run a module of this package and return what it reports; its log goes to ours.

    Raises:
        CalledProcessError: it failed.
    """
    command: Sequence[str] = [str(python), "-m", f"tests.bench.{module}", *map(str, arguments)]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        env={**os.environ, **(environ or {})},
    )
    found = (line.removeprefix(MARK) for line in ended.stdout.splitlines() if line.startswith(MARK))
    return [Outcome(**json.loads(line)) for line in found]


def _peak() -> int:
    """On Linux `ru_maxrss` counts in the parent at the fork; `/proc` tells them apart."""
    status = Path("/proc/self/status")
    if status.exists():
        words = status.read_text().split()
        return int(words[words.index("VmHWM:") + 1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def tell(words: str) -> None:
    """Say how far it is."""
    sys.stderr.write(f"{words}\n")


def write(line: str = "") -> None:
    """Write a line of the result."""
    sys.stdout.write(f"{line}\n")
