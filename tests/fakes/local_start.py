"""Start `worker local` on a pseudo-terminal."""

import fcntl
import json
import os
import select
import socket
import subprocess
import sys
import termios
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

SECONDS = 60
LOCAL = (sys.executable, "-m", "worker", "local")


class Start:
    """One start in a project folder, with its output (`said`) and its processes."""

    def __init__(
        self, project: Path, port: int, command: Sequence[str] = LOCAL, **settings: str
    ) -> None:
        self.port = port
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.terminal, inner = os.openpty()
        self.process = subprocess.Popen(
            [*command],
            cwd=project,
            env={**kept, "API_PORT": str(port), "SOURCES": "csv", **settings},
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )
        os.close(inner)
        self.said = ""

    def until(self, words: str) -> str:
        """Read until the output contains these words, and return all output."""
        give_up = time.monotonic() + SECONDS
        while words not in self.said:
            assert time.monotonic() < give_up, self.said
            if not self._read():
                break
        assert words in self.said, self.said
        return self.said

    def end(self) -> int:
        """Read the output until the process ends, and return its exit status."""
        give_up = time.monotonic() + SECONDS
        while self._read():
            assert time.monotonic() < give_up, self.said
        return self.process.wait(SECONDS)

    def _read(self) -> bool:
        if not select.select([self.terminal], [], [], SECONDS)[0]:
            return False
        try:
            some = os.read(self.terminal, 4096)
        except OSError:  # the other end of the terminal was closed
            return False
        self.said += some.decode().replace("\r\n", "\n")
        return bool(some)

    def get(self, path: str) -> dict[str, object]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return json.load(answer)

    def child(self, words: str) -> int:
        """Return the id of the child process whose command line contains these words."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.process.pid and words in (folder / "cmdline").read_text():
                    return int(folder.name)
            except OSError:  # it ended meanwhile
                continue
        raise AssertionError(f"no child runs {words!r}")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.end()
        os.close(self.terminal)


class Starter:
    def __init__(self, project: Path, port: int, command: Sequence[str] = LOCAL) -> None:
        self._command = command
        self._project = project
        self._port = port
        self.started: list[Start] = []

    def __call__(self, **settings: str) -> Start:
        self.started.append(Start(self._project, self._port, self._command, **settings))
        return self.started[-1]


def ends_with_nobody_in(folder: Path) -> bool:
    """Whether all processes whose working directory is in the folder end within seconds."""
    give_up = time.monotonic() + SECONDS
    while True:
        standing = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "cwd").readlink().is_relative_to(folder):
                    standing.append(os.pidfd_open(int(process.name)))
            except OSError:
                continue
        if not standing:
            return True
        for handle in standing:
            select.select([handle], [], [], max(0, give_up - time.monotonic()))
            os.close(handle)
        if time.monotonic() > give_up:
            return False


def starts_in(project: Path, port: int, command: Sequence[str] = LOCAL) -> Iterator[Starter]:
    """Yield a function that starts `worker local`; all starts are stopped at the end."""
    starter = Starter(project, port, command)
    yield starter
    for started in starter.started:
        started.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
