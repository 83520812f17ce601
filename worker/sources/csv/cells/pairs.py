"""Trading pairs: `BTC/USD` and `BTCUSDT` are a coin, and the currency that its price is in."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from marshmallow import ValidationError

from worker.sources.csv.cells.names import DOLLAR, FIAT, QUOTE_COINS, STABLECOINS, is_dollars
from worker.sources.csv.cells.numbers import is_unknown
from worker.sources.fields import NOT_EMPTY, StrippedString, brief

_QUOTES = (*STABLECOINS, DOLLAR, *FIAT, *QUOTE_COINS)
_ANY = "|".join(sorted(_QUOTES, key=len, reverse=True))
_PARTED = re.compile(
    rf"(?P<base>[A-Z0-9.]{{1,15}})(?:[/_:\-]| [/\-] )(?P<quote>{_ANY})", re.IGNORECASE
)
_SPACED = re.compile(rf"(?P<base>[A-Z0-9.]{{1,15}}) (?P<quote>{_ANY})")
_JOINED = re.compile(rf"(?P<base>[A-Z0-9]{{2,15}})(?P<quote>{_ANY})", re.IGNORECASE)
_JOINED_BASE = re.compile(r"[A-Z0-9]{2,15}", re.IGNORECASE)
_KRAKEN = re.compile(
    r"X(?P<base>[A-Z]{3})(?:Z(?P<quote>USD|EUR|GBP|JPY|CAD|AUD|KRW)|X(?P<coin>XBT|ETH))"
)
_BITFINEX = re.compile(r"t(?P<pair>[A-Z0-9]{2,15}:?[A-Z]{3,5})")

_VENUE = r"[A-Za-z][A-Za-z0-9_.]{2,}"
_AFTER_VENUE = re.compile(rf"{_VENUE}:(?P<pair>.+)")
_BEFORE_VENUE = re.compile(rf"(?P<pair>.+[/\-].+):{_VENUE}")
_SETTLED = re.compile(rf"(?P<pair>[^:]+[/\-][^:]+):(?:{_ANY})(?:-.+)?", re.IGNORECASE)
_FUTURE = re.compile(
    r"(?P<pair>.{2,}?)(?:\.P|[-_. ]?(?:PERP|PERPETUAL|SWAP)"
    r"|[-_](?:\d{6}|\d{8}|\d{1,2}[A-Z]{3}\d{2})(?:[-_].+)?)",
    re.IGNORECASE,
)
_TWO_SIDES = re.compile(r"\w\s?[/:]\s?\w")
_COIN_AND_MARK = re.compile(r"[A-Z0-9]{2,10}[-_. ]", re.IGNORECASE)

_LONG_STABLECOINS = tuple(
    coin for coin in STABLECOINS if coin.endswith(DOLLAR) and len(coin) > len(DOLLAR) + 1
)
"""Stablecoins of which more than a letter precedes `USD`: no coin is likely to end so."""

_MAJORS = frozenset(
    {
        *("BTC", "XBT", "ETH", "BNB", "XRP", "ADA", "SOL", "DOGE", "LTC", "LINK", "DOT"),
        *("MATIC", "AVAX", "TRX", "BCH", "USDT", "USDC"),
    }
)
_KNOWN_BY_LAST_LETTER = frozenset(
    {
        *("SHIB", "ARB", "BNB", "BLUR", "DASH", "EOS", "WAVES", "BAT", "GRT", "QNT", "APT", "MNT"),
        *("NXT", "FLOKI", "FIL", "PENDLE", "TWT", "ONT", "CELR", "XLM", "STG", "BTG", "SNT", "ANT"),
        *("YGG", "RAD", "KAS", "TAO", "AXS", "ENS", "BUSD", "DYDX", "HNT", "ROSE", "LUNA", "CEL"),
    }
)
"""Coins whose last letter would make a stablecoin of `USD`, beside `_MAJORS`."""

_LONGEST = 60
"""Characters of what may be a pair: longer texts are neither parted nor kept."""


class Pair(NamedTuple):
    base: str
    quote: str


def read_pair(symbol: str) -> Pair | None:
    """Part a trading pair; None where the symbol is not one.

    In one word, `DOTUSD` can be DOT in USD or DO in TUSD: the longest base is taken, unless the
    quote is a stablecoin of some letters (`BTCFDUSD`), or the rest is a well-known coin
    (`ETHBUSD`). The symbol of a stablecoin itself (`FDUSD`) is not a pair.

    Exchanges put their name before or after it, mark perpetuals and futures at its end
    (`names_future`), or write `tBTCUSD` and `XXBTZUSD`.
    """
    text = symbol.strip()
    return _read_pair(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=1 << 14)
def _read_pair(text: str) -> Pair | None:
    if text.upper() in _QUOTES:
        return None
    if (found := _BITFINEX.fullmatch(text)) and (pair := read_pair(found["pair"])):
        return pair
    if found := (_PARTED.fullmatch(text) or _SPACED.fullmatch(text)):
        return Pair(found["base"], found["quote"].upper())
    if found := _KRAKEN.fullmatch(text):
        return Pair(found["base"], found["quote"] or found["coin"])
    for form in (_SETTLED, _FUTURE, _AFTER_VENUE, _BEFORE_VENUE):
        if (found := form.fullmatch(text)) and (pair := read_pair(found["pair"])):
            return pair
    return _read_joined(text)


def _read_joined(text: str) -> Pair | None:
    if ":" in text:
        return None
    for coin in _LONG_STABLECOINS:
        if text.upper().endswith(coin) and len(text) > len(coin) + 1:
            return Pair(text[: -len(coin)], coin)
    readings = _joined_readings(text)
    known = [pair for pair in readings if pair.base.upper() in _MAJORS]
    return next(iter([*known, *readings]), None)


def _joined_readings(text: str) -> list[Pair]:
    """Give the ways to part one word, that with the longest base first."""
    found = [
        Pair(text[: -len(quote)], quote)
        for quote in sorted(_QUOTES, key=len)
        if text.upper().endswith(quote)
    ]
    return [pair for pair in found if _JOINED_BASE.fullmatch(pair.base)]


def is_unclear_pair(symbol: str) -> bool:
    """Tell whether a pair in one word can end in `USD` or in a stablecoin, and its coin be either.

    `PEPETUSD` can; of `DOTUSD` and `BNBUSD` the coin is known.
    """
    text = symbol.strip()
    if found := _AFTER_VENUE.fullmatch(text):
        text = found["pair"].strip()
    pair = read_pair(text)
    if pair is None or pair != (text[: -len(DOLLAR)], DOLLAR):
        return False
    if pair.base.upper() in _MAJORS | _KNOWN_BY_LAST_LETTER:
        return False
    return any(other.quote in STABLECOINS for other in _joined_readings(text))


def names_future(symbol: str) -> bool:
    """Tell a perpetual or a future, whose price is not the coin's: `BTCUSDT.P`, `BTC-PERP`."""
    text = symbol.strip()
    return len(text) <= _LONGEST and _names_future(text)


@lru_cache(maxsize=1 << 14)
def _names_future(text: str) -> bool:
    if found := _AFTER_VENUE.fullmatch(text):
        return names_future(found["pair"])
    if found := _SETTLED.fullmatch(text):
        return read_pair(found["pair"]) is not None
    found = _FUTURE.fullmatch(text)
    if found is None:
        return False
    return (
        read_pair(found["pair"]) is not None
        or found["pair"].upper() in _MAJORS
        or _COIN_AND_MARK.match(text[: len(found["pair"]) + 1]) is not None
    )


def is_certain_pair(symbol: str) -> bool:
    """Tell a trading pair, or a future, from what may be a coin's own symbol, as `STETH` is."""
    text = symbol.strip()
    pair = read_pair(text)
    if pair is None:
        has_two_sides = _TWO_SIDES.search(text) is not None and not is_unknown(text)
        return has_two_sides or names_future(text)
    if _JOINED.fullmatch(text) is None:
        return True
    if pair.quote in _LONG_STABLECOINS:
        return True
    return pair.base.upper() in _MAJORS and pair.quote not in QUOTE_COINS


def is_clear_pair(text: str) -> bool:
    """Tell a trading pair from a word that merely ends like one, as `ENTRY` does in TRY."""
    pair = read_pair(text)
    return pair is not None and (
        _PARTED.fullmatch(text.strip()) is not None
        or pair.base.upper() in _MAJORS
        or pair.quote in {DOLLAR, *STABLECOINS}
    )


def are_pairs(symbols: Sequence[str]) -> bool:
    """Tell whether a column of symbols holds trading pairs: each is one."""
    filled = [symbol for symbol in symbols if symbol.strip()]
    return bool(filled) and all(map(read_pair, filled))


class PairSymbol(StrippedString):
    """The coin of a trading pair against the dollar, or against what counts as one."""

    def __init__(self, as_usd: frozenset[str]) -> None:
        super().__init__(required=True, validate=NOT_EMPTY)
        self.as_usd = as_usd

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> str:
        pair = read_pair(super()._deserialize(value, attr, data, **kwargs))
        if pair is None:
            raise ValidationError(f"not a trading pair: {brief(value)}")
        if not is_dollars(pair.quote, self.as_usd):
            raise ValidationError(
                f"{brief(value)} is priced in {pair.quote}, and only US dollars are read"
                + as_usd_hint(pair.quote)
            )
        return pair.base


def as_usd_hint(currency: str) -> str:
    """Name the key that has a stablecoin's figures count as dollars."""
    if currency.upper() not in STABLECOINS:
        return ""
    return f'; if they are to count as dollars, declare as_usd = ["{currency.upper()}"]'
