"""Where the time of a request goes inside the application: many in a row, without any server."""

import contextlib
import cProfile
import os
import pstats
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.engine import URL
from werkzeug.test import create_environ

from api.app import create_app
from shared.logs import configure_logs
from shared.settings import Settings
from tests.bench.api_cells import FIRST
from tests.bench.measure import write

REQUESTS = 2000
WARM_UP = 50
FUNCTIONS = 40


def profile(url: URL, kind: str, path: str = FIRST) -> None:
    """Ask for one path again and again, `cold` with the cache off; print what took how long.

    Once without the profiler, which makes small functions look larger than they are. Log lines are
    written as ever, but to nowhere.
    """
    environ = {
        "API_DATABASE_URL": url.render_as_string(hide_password=False),
        "API_RATE_LIMIT": "off",
        **({"API_CACHE_MB": "0"} if kind == "cold" else {}),
    }
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        configure_logs("INFO", "json")
        app = create_app(Settings.from_env(environ))
        given = create_environ(path)
        statuses: set[str] = set()

        def ask() -> None:
            body = app(dict(given), lambda status, *_: statuses.add(status))
            for _ in body:
                pass
            if close := getattr(body, "close", None):
                close()

        _repeat(ask, WARM_UP)
        seconds = _repeat(ask, REQUESTS)
        with cProfile.Profile() as profiler:
            _repeat(ask, REQUESTS)
        app.extensions["database"].close()
    milliseconds = seconds / REQUESTS * 1000
    write(f"{kind}, {REQUESTS:,} times {path}: {milliseconds:.3f} ms each, {sorted(statuses)}")
    stats = pstats.Stats(profiler, stream=sys.stdout).strip_dirs()
    stats.sort_stats("tottime").print_stats(FUNCTIONS)
    stats.sort_stats("cumulative").print_stats(FUNCTIONS)


def _repeat(ask: Callable[[], None], times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        ask()
    return time.perf_counter() - started
