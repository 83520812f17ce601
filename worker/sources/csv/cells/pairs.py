"""Parse trading pairs: `BTC/USD` and `BTCUSDT` name a coin and the currency of its price."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from marshmallow import ValidationError

from worker.sources.csv.cells.headers import DOLLAR, FIAT, QUOTE_COINS, STABLECOINS, is_dollars
from worker.sources.csv.cells.numbers import is_unknown
from worker.sources.fields import NOT_EMPTY, StrippedString, brief

_QUOTES = (*STABLECOINS, DOLLAR, *FIAT, *QUOTE_COINS)
_ANY_QUOTE = "|".join(sorted(_QUOTES, key=len, reverse=True))
_SEPARATED = re.compile(
    rf"(?P<base>[A-Z0-9.]{{1,15}})(?:[/_:\-]| [/\-] )(?P<quote>{_ANY_QUOTE})", re.IGNORECASE
)
_SPACED = re.compile(rf"(?P<base>[A-Z0-9.]{{1,15}}) (?P<quote>{_ANY_QUOTE})")
_JOINED = re.compile(rf"(?P<base>[A-Z0-9]{{2,15}})(?P<quote>{_ANY_QUOTE})", re.IGNORECASE)
_JOINED_BASE = re.compile(r"[A-Z0-9]{2,15}", re.IGNORECASE)
_KRAKEN = re.compile(
    r"X(?P<base>[A-Z]{3})(?:Z(?P<quote>USD|EUR|GBP|JPY|CAD|AUD|KRW)|X(?P<coin>XBT|ETH))"
)
_BITFINEX = re.compile(r"t(?P<pair>[A-Z0-9]{2,15}:?[A-Z]{3,5})")

_EXCHANGE = r"[A-Za-z][A-Za-z0-9_.]{2,}"
_AFTER_EXCHANGE = re.compile(rf"{_EXCHANGE}:(?P<pair>.+)")
_BEFORE_EXCHANGE = re.compile(rf"(?P<pair>.+[/\-].+):{_EXCHANGE}")
_WITH_SETTLEMENT = re.compile(rf"(?P<pair>[^:]+[/\-][^:]+):(?:{_ANY_QUOTE})(?:-.+)?", re.IGNORECASE)
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
"""Stablecoins with at least two letters before `USD`; no symbol of a coin is likely to end so."""

_MAJOR_COINS = frozenset(
    {
        *("BTC", "XBT", "ETH", "BNB", "XRP", "ADA", "SOL", "DOGE", "LTC", "LINK", "DOT"),
        *("MATIC", "AVAX", "TRX", "BCH", "USDT", "USDC"),
    }
)
_AMBIGUOUS_COINS = frozenset(
    {
        *("SHIB", "ARB", "BNB", "BLUR", "DASH", "EOS", "WAVES", "BAT", "GRT", "QNT", "APT", "MNT"),
        *("NXT", "FLOKI", "FIL", "PENDLE", "TWT", "ONT", "CELR", "XLM", "STG", "BTG", "SNT", "ANT"),
        *("YGG", "RAD", "KAS", "TAO", "AXS", "ENS", "BUSD", "DYDX", "HNT", "ROSE", "LUNA", "CEL"),
    }
)
"""Further coins whose last letter and `USD` together spell a stablecoin."""

_LONGEST = 60
"""Characters of the longest text that is parsed as a pair, and cached."""


class Pair(NamedTuple):
    base: str
    quote: str


def read_pair(symbol: str) -> Pair | None:
    """Split a trading pair into base and quote; None if the symbol is not a pair.

    A pair without a separator can be ambiguous: `DOTUSD` is DOT in USD, or DO in TUSD. The longest
    base is preferred, except before a long stablecoin (`BTCFDUSD`) and if a shorter base is a major
    coin (`ETHBUSD`). The symbol of a stablecoin itself (`FDUSD`) is not a pair.

    The name of an exchange may precede or follow the pair. A mark of a future may follow it
    (`is_future`). `tBTCUSD` and `XXBTZUSD` are spellings of Bitfinex and Kraken.
    """
    text = symbol.strip()
    return _read_pair(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=1 << 14)
def _read_pair(text: str) -> Pair | None:
    if text.upper() in _QUOTES:
        return None
    if (found := _BITFINEX.fullmatch(text)) and (pair := read_pair(found["pair"])):
        return pair
    if found := (_SEPARATED.fullmatch(text) or _SPACED.fullmatch(text)):
        return Pair(found["base"], found["quote"].upper())
    if found := _KRAKEN.fullmatch(text):
        return Pair(found["base"], found["quote"] or found["coin"])
    for form in (_WITH_SETTLEMENT, _FUTURE, _AFTER_EXCHANGE, _BEFORE_EXCHANGE):
        if (found := form.fullmatch(text)) and (pair := read_pair(found["pair"])):
            return pair
    return _read_joined(text)


def _read_joined(text: str) -> Pair | None:
    if ":" in text:
        return None
    for coin in _LONG_STABLECOINS:
        if text.upper().endswith(coin) and len(text) > len(coin) + 1:
            return Pair(text[: -len(coin)], coin)
    candidates = _find_joined_pairs(text)
    major = [pair for pair in candidates if pair.base.upper() in _MAJOR_COINS]
    return next(iter([*major, *candidates]), None)


def _find_joined_pairs(text: str) -> list[Pair]:
    """Return the possible splits of a pair without a separator, longest base first."""
    found = [
        Pair(text[: -len(quote)], quote)
        for quote in sorted(_QUOTES, key=len)
        if text.upper().endswith(quote)
    ]
    return [pair for pair in found if _JOINED_BASE.fullmatch(pair.base)]


def is_ambiguous_pair(symbol: str) -> bool:
    """Whether the quote of a pair without a separator may be `USD` or a stablecoin.

    `PEPETUSD` is ambiguous. `DOTUSD` and `BNBUSD` are not, because their coins are well known.
    """
    text = symbol.strip()
    if found := _AFTER_EXCHANGE.fullmatch(text):
        text = found["pair"].strip()
    pair = read_pair(text)
    if pair is None or pair != (text[: -len(DOLLAR)], DOLLAR):
        return False
    if pair.base.upper() in _MAJOR_COINS | _AMBIGUOUS_COINS:
        return False
    return any(other.quote in STABLECOINS for other in _find_joined_pairs(text))


def is_future(symbol: str) -> bool:
    """Whether a symbol names a perpetual or a future: `BTCUSDT.P`, `BTC-PERP`."""
    text = symbol.strip()
    return len(text) <= _LONGEST and _is_future(text)


@lru_cache(maxsize=1 << 14)
def _is_future(text: str) -> bool:
    if found := _AFTER_EXCHANGE.fullmatch(text):
        return is_future(found["pair"])
    if found := _WITH_SETTLEMENT.fullmatch(text):
        return read_pair(found["pair"]) is not None
    found = _FUTURE.fullmatch(text)
    if found is None:
        return False
    return (
        read_pair(found["pair"]) is not None
        or found["pair"].upper() in _MAJOR_COINS
        or _COIN_AND_MARK.match(text[: len(found["pair"]) + 1]) is not None
    )


def is_certain_pair(symbol: str) -> bool:
    """Whether a symbol is a trading pair or a future, and not the symbol of a coin (`STETH`)."""
    text = symbol.strip()
    pair = read_pair(text)
    if pair is None:
        has_two_sides = _TWO_SIDES.search(text) is not None and not is_unknown(text)
        return has_two_sides or is_future(text)
    if _JOINED.fullmatch(text) is None:
        return True
    if pair.quote in _LONG_STABLECOINS:
        return True
    return pair.base.upper() in _MAJOR_COINS and pair.quote not in QUOTE_COINS


def is_probable_pair(text: str) -> bool:
    """Whether a text is a trading pair, and not a word with the ending of one (`ENTRY`, TRY)."""
    pair = read_pair(text)
    return pair is not None and (
        _SEPARATED.fullmatch(text.strip()) is not None
        or pair.base.upper() in _MAJOR_COINS
        or pair.quote in {DOLLAR, *STABLECOINS}
    )


def are_pairs(symbols: Sequence[str]) -> bool:
    """Whether every symbol that is not empty is a trading pair."""
    filled = [symbol for symbol in symbols if symbol.strip()]
    return bool(filled) and all(map(read_pair, filled))


class PairSymbol(StrippedString):
    """The base of a trading pair that is priced in dollars, or in a currency in `as_usd`."""

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
    """Suggest the declaration that counts a stablecoin as dollars."""
    if currency.upper() not in STABLECOINS:
        return ""
    return f'; to count them as dollars, declare as_usd = ["{currency.upper()}"]'
