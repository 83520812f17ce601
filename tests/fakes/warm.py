"""Workers forked off an interpreter that has imported the program already.

Each is a process of its own that runs the same command as `python -m worker`, to be killed like any
other; it only starts in a few milliseconds. For tests that need hundreds of them.
"""

import itertools
import multiprocessing
import os
import shlex
import sys
import warnings
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from shared.settings import Settings

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["worker.cli", "tests.fakes.warm"])
_numbers = itertools.count(1)

# The pattern for an URL takes longer to compile than all the rest of a short run.
Settings.from_env({"COINGECKO_BASE_URL": "http://127.0.0.1"})


class WarmWorker:
    """One worker process; what it says goes to a file."""

    def __init__(self, arguments: str, env: Mapping[str, str], cwd: Path) -> None:
        self.said = cwd / f"worker-{os.getpid()}-{next(_numbers)}.log"
        command = (shlex.split(arguments), dict(env), cwd, self.said)
        self._process: ForkServerProcess = _context.Process(target=_work, args=command)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def wait(self, seconds: float = 60) -> int:
        """Wait for its end, and return its exit code, as `subprocess` counts."""
        self._process.join(seconds)
        code = self._process.exitcode
        assert code is not None, f"worker {self.pid} still runs after {seconds} s"
        self._process.close()
        return code


def _work(arguments: list[str], env: dict[str, str], cwd: Path, said: Path) -> None:
    """Be `python -m worker` with these arguments."""
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    warnings.simplefilter("error")
    with said.open("w") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    from worker.cli import main  # noqa: PLC0415

    main(arguments, prog_name="worker")
