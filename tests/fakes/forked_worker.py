"""Workers forked from an interpreter that has already imported the program.

Each is a process of its own that runs the same command as `python -m worker` and can be killed like
any other. It starts in a few milliseconds instead of a second.
"""

import gc
import itertools
import multiprocessing
import os
import shlex
import signal
import sys
import warnings
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

from shared.settings import Settings

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["worker.cli.main", "tests.fakes.forked_worker"])
_numbers = itertools.count(1)

# The pattern for an URL takes longer to compile than all the rest of a short run.
Settings.from_env({"COINGECKO_BASE_URL": "http://127.0.0.1"})

# What was imported is there to stay: a forked process need not look through it for garbage.
gc.freeze()


class WarmWorker:
    """One worker process, dealt with like one of `subprocess`.

    Its stdout and stderr go to files, or its stderr to `pipe`.
    """

    def __init__(
        self, arguments: str, env: Mapping[str, str], cwd: Path, pipe: Connection | None = None
    ) -> None:
        name = f"worker-{os.getpid()}-{next(_numbers)}"
        self._out, self._err = cwd / f"{name}.out", cwd / f"{name}.err"
        command = (shlex.split(arguments), dict(env), cwd, self._out, pipe or self._err)
        self._process = _context.Process(target=_work, args=command)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def terminate(self) -> None:
        self._process.terminate()

    def wait(self, timeout: float = 60) -> int:
        """Wait for its end, and return its exit code, as `subprocess` counts."""
        self._process.join(timeout)
        code = self.returncode
        assert code is not None, f"process {self.pid} still runs after {timeout} s"
        return code

    @property
    def out(self) -> str:
        """What it has written to stdout."""
        return _read(self._out)

    @property
    def err(self) -> str:
        """What it has written to stderr."""
        return _read(self._err)

    def communicate(self, timeout: float = 60) -> tuple[str, str]:
        """Wait for its end, and return what it wrote to stdout and stderr."""
        self.wait(timeout)
        return self.out, self.err

    def __enter__(self) -> "WarmWorker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _exc: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.kill()
        self.wait()

    def end(self) -> None:
        """Kill it where it still runs."""
        self.kill()
        self.wait()

    def delete_output(self) -> None:
        """Delete the files of its output."""
        self._out.unlink(missing_ok=True)
        self._err.unlink(missing_ok=True)


def _read(file: Path) -> str:
    """Read a file that a process which was killed early has not made yet."""
    return file.read_text() if file.exists() else ""


def _work(
    arguments: list[str], env: dict[str, str], cwd: Path, out: Path, err: Path | Connection
) -> None:
    """Be `python -m worker` with these arguments."""
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    warnings.simplefilter("error")
    with out.open("w") as stdout, err.open("w") if isinstance(err, Path) else err as stderr:
        os.dup2(stdout.fileno(), sys.stdout.fileno())
        os.dup2(stderr.fileno(), sys.stderr.fileno())
    from worker.cli.main import main  # noqa: PLC0415

    main(arguments, prog_name="worker")
