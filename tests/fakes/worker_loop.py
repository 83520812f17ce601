"""A worker's loop in a real process, and what it logs."""

import json
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.fakes.processes import start_worker

SECONDS = 30
"""How long a condition is waited for before the test gives up."""


class Loop:
    """A worker's loop in a real process, whose log is read as it is written."""

    def __init__(self, env: Mapping[str, str], folder: Path, *, interval: int = 600) -> None:
        self._start = (f"run --interval {interval}", env, folder)
        self.lines: list[dict[str, Any]] = []
        self._changed = threading.Condition()

    def __enter__(self) -> "Loop":
        self.process = start_worker(*self._start)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
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
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(SECONDS) == 0, self.lines
        assert not [line for line in self.lines if "exception" in line]

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe
            pipe.close()
