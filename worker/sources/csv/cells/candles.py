"""Headers of candles, and of the time at which a candle closes."""

import re
from collections.abc import Sequence

from worker.sources.csv.cells.headers import header_words, normalise_header

OPEN = "open"
CLOSE = "close"
_WORDS = {
    OPEN: (
        *("open", "opening", "o", "eröffn", "eröffnung", "apertura", "abertura", "ouv"),
        *("ouverture", "açılış", "откр"),  # noqa: RUF001 -- Turkish
    ),
    "high": ("high", "h", "hoch", "máximo", "máxima", "haut", "massimo", "hoog", "yüksek", "макс"),
    "low": ("low", "l", "tief", "mínimo", "mínima", "bas", "minimo", "laag", "düşük", "мин"),
    CLOSE: ("close", "closing", "c"),
}
_PARTS = {word: part for part, words in _WORDS.items() for word in words}
_FEWEST_PARTS = 3
_NOT_PART_WORDS = frozenset({"time", "timestamp", "date", "interest", "volume", "vol", "count"})

_DURATION = re.compile(r"\b\d+ ?(m|min|h|hr|hrs|hours?|d|days?|w|weeks?|y|years?)\b")
"""`open_24h` is the price a day before the row, and not part of a candle."""

_INITIALS = frozenset("ohlc")
"""Parts only as the whole header: `Chg (h)` is none."""

_END_WORDS = frozenset({"closing", "end", "ended"})


def candle_part(header: str) -> str | None:
    """Return the part of a candle that a header names: open, high, low or close."""
    words = header_words(header)
    if not _NOT_PART_WORDS.isdisjoint(words) or _DURATION.search(" ".join(words)):
        return None
    if len(words) > 1:
        words = [each for each in words if each not in _INITIALS]
    return next((_PARTS[word] for word in words if word in _PARTS), None)


def has_candles(headers: Sequence[str]) -> bool:
    parts = {part for each in headers if (part := candle_part(each))}
    return len(parts) >= _FEWEST_PARTS or parts >= {OPEN, CLOSE}


def names_close(time_header: str) -> bool:
    """Whether a column of times names the close: `close_time`, `timeClose`, `period_end`."""
    words = header_words(time_header)
    return CLOSE in normalise_header(time_header) or not _END_WORDS.isdisjoint(words)
