"""Many requests in a row over a few connections: by wrk, or without it by threads of Python."""

import http.client
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

SCRIPT = Path(__file__).with_name("load.lua")
WRK = shutil.which("wrk")
STILL_CONNECTED_SECONDS = 30
PATIENCE = "--timeout=10s"
"""An export takes longer than wrk's own 2 seconds."""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it: answers, their bytes, milliseconds; refused are those of status 400 on."""

    seconds: float
    requests: int
    bytes: int
    p50: float
    p99: float
    refused: int
    broken: int

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


@dataclass(frozen=True, slots=True)
class Target:
    """Who is asked for what: the paths one after another, and from the beginning again."""

    port: int
    paths: Sequence[str]
    headers: Mapping[str, str]


def put_load(target: Target, folder: Path, seconds: int, connections: int, offset: int = 0) -> Load:
    """Ask for so long, each connection as soon as it was answered; begin at a path further on."""
    if WRK is None:
        return _threads(target, seconds, connections, offset)
    paths = folder / "paths"
    paths.write_text("".join(f"{path}\n" for path in target.paths))
    headers = [f"--header={name}: {value}" for name, value in target.headers.items()]
    options = ["--threads=1", f"--connections={connections}", f"--duration={seconds}s", PATIENCE]
    command = [WRK, *options, *headers, f"--script={SCRIPT}", f"http://127.0.0.1:{target.port}"]
    ended = subprocess.run(
        [*command, "--", str(paths), str(offset)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=seconds + STILL_CONNECTED_SECONDS,
    )
    return Load(**json.loads(ended.stdout.splitlines()[-1]))


def ask(port: int, path: str, headers: Mapping[str, str]) -> "tuple[int, Mapping[str, str], bytes]":
    """Ask once; return status, headers with names in lower case, and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=STILL_CONNECTED_SECONDS)
    try:
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        named = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, named, answer.read()
    finally:
        connection.close()


def _threads(target: Target, seconds: int, connections: int, offset: int) -> Load:
    """Do without wrk: slower, and the interpreter's part is measured with the rest."""
    ended: list[tuple[float, int, bool]] = []
    broken: list[Exception] = []
    started = time.perf_counter()

    def work(number: int) -> None:
        connection: Any = http.client.HTTPConnection("127.0.0.1", target.port, timeout=seconds)
        at = offset + number
        while (asked := time.perf_counter()) < started + seconds:
            try:
                path = target.paths[at % len(target.paths)]
                connection.request("GET", path, headers=dict(target.headers))
                answer = connection.getresponse()
                size = len(answer.read())
                ended.append((time.perf_counter() - asked, size, answer.status >= 400))
            except (OSError, http.client.HTTPException) as exc:
                broken.append(exc)
                connection.close()
            at += connections
        connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = [took * 1000 for took, _, _ in ended] or [0.0]
    cuts = quantiles([*took, took[-1]], n=100)
    return Load(
        time.perf_counter() - started,
        len(ended),
        sum(size for _, size, _ in ended),
        cuts[49],
        cuts[98],
        sum(refused for _, _, refused in ended),
        len(broken),
    )
