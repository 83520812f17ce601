"""The stale sources, which every response with data reports.

`find_stale` in `api/queries/operations/freshness.py` has the criterion.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b

import msgspec
from flask import current_app

from api.database.pool import read
from api.queries.operations.freshness import find_stale, shows_sample
from api.queries.operations.sources import read_loading
from shared.model.catalogue import LISTING_SOURCES
from shared.settings import Settings

VALID_SECONDS = 1.0
"""How long a result is reused. A source becomes stale after minutes, so this is exact enough."""


@dataclass(frozen=True, slots=True)
class Stale:
    """The stale sources, and how a response reports them."""

    names: tuple[str, ...]
    json: bytes
    tag: str
    """Their part of an `ETag`; empty if no source is stale, and the data is not the sample."""
    sample: bool = False
    """Whether the data is the project's sample."""

    @classmethod
    def of(cls, names: Iterable[str], *, sample: bool = False) -> "Stale":
        names = tuple(names)
        json = msgspec.json.encode(names)
        shown = json + b"sample" * sample
        tag = f"-{blake2b(shown, digest_size=4).hexdigest()}" if names or sample else ""
        return cls(names, json, tag, sample)


class Staleness:
    """Checks the configured sources at most once a second in each process."""

    def __init__(self, settings: Settings) -> None:
        # Lists of contracts have no values that a response could show.
        self._sources = [each for each in settings.sources if each in LISTING_SOURCES]
        self._interval = timedelta(seconds=settings.run_interval_seconds)
        self._last: tuple[float, Stale] | None = None

    def current(self) -> Stale | None:
        """Return the last result; None if it is too old, or nothing was checked yet."""
        last = self._last
        return last[1] if last is not None and time.monotonic() < last[0] else None

    def read(self) -> Stale:
        """Return the stale sources. Raises what `pool.read` raises."""
        current = self.current()
        if current is not None:
            return current
        now = time.monotonic()
        loading = []
        if self._sources:
            with read() as conn:
                loading = read_loading(conn, self._sources)
        stale = Stale.of(find_stale(loading, self._interval), sample=shows_sample(loading))
        self._last = (now + VALID_SECONDS, stale)
        return stale


def stale_sources() -> Stale:
    staleness: Staleness = current_app.extensions["staleness"]
    return staleness.read()
