"""Which sources are stale: said beside the data in every answer that shows some."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b

import msgspec
from flask import current_app

from api.database.pool import read
from api.queries.loading.freshness import find_stale
from api.queries.loading.sources import read_loading
from shared.model.catalogue import LISTING_SOURCES
from shared.settings import Settings

LASTS_SECONDS = 1.0
"""How long a judgement holds: what makes a source stale is minutes of silence."""


@dataclass(frozen=True, slots=True)
class Stale:
    """The stale sources, as the parts of an answer have them."""

    names: tuple[str, ...]
    json: bytes
    tag: str
    """What tells in an `ETag` that they are others than before; nothing while there are none."""

    @classmethod
    def of(cls, names: Iterable[str]) -> "Stale":
        names = tuple(names)
        json = msgspec.json.encode(names)
        return cls(names, json, f"-{blake2b(json, digest_size=4).hexdigest()}" if names else "")


class Staleness:
    """Judges the configured sources at most once a second in each process."""

    def __init__(self, settings: Settings) -> None:
        # Lists of contracts hold none of the values that are shown.
        self._sources = [each for each in settings.sources if each in LISTING_SOURCES]
        self._interval = timedelta(seconds=settings.run_interval_seconds)
        self._judged: tuple[float, Stale] | None = None

    def judged(self) -> Stale | None:
        """Return the last judgement; None where there is none, or it holds no longer."""
        judged = self._judged
        return judged[1] if judged is not None and time.monotonic() < judged[0] else None

    def read(self) -> Stale:
        """Return the stale ones; `pool.read` says what that raises."""
        judged = self.judged()
        if judged is not None:
            return judged
        now = time.monotonic()
        loading = []
        if self._sources:
            with read() as conn:
                loading = read_loading(conn, self._sources)
        stale = Stale.of(find_stale(loading, self._interval))
        self._judged = (now + LASTS_SECONDS, stale)
        return stale


def stale_sources() -> Stale:
    """Return the stale sources of this application's database."""
    staleness: Staleness = current_app.extensions["staleness"]
    return staleness.read()
