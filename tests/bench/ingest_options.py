"""What the environment asks of the benchmark of loading."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.measure import ROOT

ROUNDS = ("limit", "dlt", "ours")
DEFAULT = (*ROUNDS, "stale", "crowd", "csv")
PARTS = (*DEFAULT, "observations")


@dataclass(frozen=True, slots=True)
class Options:
    """Which parts run, on which servers, with how much; `ends` is when no more of it begins."""

    parts: Sequence[str]
    servers: Sequence[int]
    records: int
    rounds: int
    crowds: Sequence[int]
    observations: int
    rows: int
    minutes: float
    ends: float
    dlt_python: Path

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Options":
        def numbers(name: str, default: str) -> list[int]:
            return [int(number) for number in (environ.get(name) or default).split(",")]

        parts = (environ.get("ONLY") or ",".join(DEFAULT)).split(",")
        if unknown := set(parts) - set(PARTS):
            raise SystemExit(
                f"ONLY={','.join(parts)!r}: {sorted(unknown)} is none of {','.join(PARTS)}"
            )
        minutes = float(environ.get("MINUTES") or (60 if "observations" in parts else 10))
        return cls(
            parts,
            numbers("POSTGRES", "18,15"),
            *numbers("RECORDS", "80000"),
            *numbers("ROUNDS", "3"),
            numbers("CROWDS", "1000,4000"),
            *numbers("OBSERVATIONS", "50000000"),
            *numbers("ROWS", "200000"),
            minutes,
            time.monotonic() + 60 * minutes,
            Path(environ.get("BENCH_PYTHON") or ROOT / ".local/bench-venv/bin/python"),
        )
