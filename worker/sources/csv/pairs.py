"""Trading pairs: `BTC/USD` and `BTCUSDT` are a coin, and the currency that its price is in."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from marshmallow import ValidationError

from worker.sources.base import NOT_EMPTY, StrippedString, brief
from worker.sources.csv.names import DOLLAR, FIAT, QUOTE_COINS, STABLECOINS, is_dollars

_QUOTES = (*STABLECOINS, DOLLAR, *FIAT, *QUOTE_COINS)
_ANY = "|".join(_QUOTES)
_PARTED = re.compile(rf"(?P<base>[A-Z0-9.]{{1,15}})[/_:\-](?P<quote>{_ANY})", re.IGNORECASE)
_JOINED = re.compile(rf"(?P<base>[A-Z0-9]{{2,15}})(?P<quote>{_ANY})", re.IGNORECASE)
_MAJORS = frozenset(
    {
        *("BTC", "XBT", "ETH", "BNB", "XRP", "ADA", "SOL", "DOGE", "LTC", "LINK", "DOT"),
        *("MATIC", "AVAX", "TRX", "BCH", "USDT", "USDC"),
    }
)


class Pair(NamedTuple):
    base: str
    quote: str


def read_pair(symbol: str) -> Pair | None:
    """Part a trading pair; None where the symbol is not one.

    In one word, `DOTUSD` can be DOT in USD or DO in TUSD: the longest base is taken, unless its
    last letter makes a stablecoin of the quote and a well-known coin of the rest (`ETHBUSD`). The
    symbol of a stablecoin itself (`FDUSD`) is not a pair.
    """
    text = symbol.strip()
    if text.upper() in _QUOTES:
        return None
    if found := _PARTED.fullmatch(text):
        return Pair(found["base"], found["quote"].upper())
    if found := _JOINED.fullmatch(text):
        base, quote = found["base"], found["quote"].upper()
        if base[:-1].upper() in _MAJORS and f"{base[-1].upper()}{quote}" in STABLECOINS:
            return Pair(base[:-1], f"{base[-1].upper()}{quote}")
        return Pair(base, quote)
    return None


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
