"""A worker's loop in a process of its own, and what it logs."""

import json
import multiprocessing
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.fakes.forked_worker import WarmWorker

SECONDS = 30
"""How long a condition is waited for before the test gives up."""


class Loop:
    """A worker's loop in a process of its own, whose log is read as it is written."""

    def __init__(self, env: Mapping[str, str], folder: Path, *, interval: int = 600) -> None:
        self._start = (f"run --interval {interval}", env, folder)
        self.lines: list[dict[str, Any]] = []
        self._changed = threading.Condition()

    def __enter__(self) -> "Loop":
        log, its_end = multiprocessing.Pipe(duplex=False)
        self._process = WarmWorker(*self._start, its_end)
        its_end.close()
        self._reader = threading.Thread(target=self._read, args=(log,))
        self._reader.start()
        return self

    def _read(self, log: Connection) -> None:
        with log, open(log.fileno(), closefd=False) as lines:
            for line in lines:
                with self._changed:
                    self.lines.append(json.loads(line))
                    self._changed.notify_all()

    def said(self, event: str, **values: object) -> list[dict[str, Any]]:
        """Give the lines that begin with these words and carry these values."""
        return [
            line for line in self.lines if line["event"].startswith(event) and line | values == line
        ]

    def wait_until_said(self, event: str, times: int = 1, **values: object) -> dict[str, Any]:
        with self._changed:
            came = self._changed.wait_for(
                lambda: len(self.said(event, **values)) >= times, timeout=SECONDS
            )
        assert came, f"{event!r} {values} was not said: {self.lines[:20]}"
        return self.said(event, **values)[times - 1]

    def end(self) -> None:
        """Tell the worker to stop; that it does so well shows that it was alive."""
        self._process.terminate()
        assert self._process.wait(SECONDS) == 0, self.lines
        assert not [line for line in self.lines if "exception" in line]

    def __exit__(self, *_: object) -> None:
        self._process.end()
        self._reader.join()
