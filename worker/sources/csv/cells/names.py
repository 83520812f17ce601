"""The names that exports give their columns, and the currencies that a header can name."""

import re
from collections.abc import Mapping

from shared.model.records import VALUES

FIELDS = ("id", "symbol", "name", "observed_at", "currency", *VALUES)
"""What a column can be declared to hold."""

SUPPLIES = ("circulating_supply", "total_supply", "max_supply")
"""The values that are counted in coins."""

IN_SOME_CURRENCY: Mapping[str, frozenset[str]] = {
    "price_usd": frozenset(
        {"price", "currentprice", "close", "closeprice", "closingprice", "lastprice"}
    ),
    "market_cap_usd": frozenset({"marketcap", "marketcapitalization", "marketcapitalisation"}),
    "volume_24h_usd": frozenset({"volume24h", "24hvolume", "24hrvolume", "totalvolume"}),
}
"""Headers of figures in a currency that they do not name."""

_MAKERS = {
    # Coin Metrics' metrics, and the paths of CoinMarketCap's and CoinPaprika's JSON as tables.
    "price_usd": {"referencerateusd", "quoteusdprice", "quotesusdprice"},
    "market_cap_usd": {"capmrktcurusd", "quoteusdmarketcap", "quotesusdmarketcap"},
    "volume_24h_usd": {
        *("volumereportedspotusd1d", "volumetrustedspotusd1d"),
        *("quoteusdvolume24h", "quotesusdvolume24h"),
    },
}
IN_DOLLARS: Mapping[str, frozenset[str]] = {
    field: frozenset(
        {f"{name}usd" for name in names}
        | {f"usd{name}" for name in names}
        | {f"{name}inusd" for name in names}
        | _MAKERS[field]
    )
    for field, names in IN_SOME_CURRENCY.items()
}
"""Headers of figures that are in US dollars by their own name."""

WITHOUT_CURRENCY: Mapping[str, frozenset[str]] = {
    "id": frozenset({"id", "slug", "coinid", "assetid", "externalid"}),
    "symbol": frozenset({"symbol", "ticker", "coinsymbol"}),
    "name": frozenset({"name", "coinname", "assetname"}),
    "observed_at": frozenset(
        {
            *("observedat", "lastupdated", "lastupdatedat", "updatedat", "snappedat"),
            *("timestamp", "unixtimestamp", "unix", "datetime", "date", "time"),
        }
    ),
    "currency": frozenset(
        {
            *("currency", "currencycode", "pricecurrency", "quotecurrency", "vscurrency"),
            *("quoteasset", "quotesymbol", "ccy"),
        }
    ),
    "circulating_supply": frozenset({"circulatingsupply", "availablesupply", "splycur"}),
    "total_supply": frozenset({"totalsupply"}),
    "max_supply": frozenset({"maxsupply", "maximumsupply"}),
}
VOLUMES = {"volume", "volumeusd"}
"""Headers that may be the volume of 24 hours in dollars, or something else."""

DOLLAR = "USD"
DOLLARS = frozenset({"usd", "us$", "$", "us dollar", "us dollars", "dollar", "dollars"})
"""How a cell says that a figure is in US dollars, in lower case."""

STABLECOINS = (
    *("USDT", "USDC", "BUSD", "DAI", "TUSD", "USDP", "FDUSD", "GUSD", "PYUSD", "USDD", "USDE"),
    *("LUSD", "FRAX", "SUSD", "USDS", "CRVUSD", "USD1"),
)
"""Coins that are meant to be worth a dollar, and are not one unless that is declared."""

FIAT = (
    *("EUR", "GBP", "JPY", "CNY", "CNH", "RMB", "INR", "KRW", "BRL", "CHF", "AUD", "CAD", "NZD"),
    *("RUB", "MXN", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "ZAR", "SGD", "HKD", "TWD", "THB"),
    *("IDR", "MYR", "PHP", "VND", "UAH", "ILS", "AED", "SAR", "NGN", "PKR", "BDT", "ARS", "CLP"),
    *("COP", "TRY", "KZT"),
)
QUOTE_COINS = ("BTC", "XBT", "ETH", "BNB", "SATS", "SAT")
"""Coins that others are priced in."""

_CODES = frozenset(
    {
        *(*FIAT, *STABLECOINS, *QUOTE_COINS),
        *("RON", "BGN", "ISK", "HRK", "RSD", "GEL", "EGP", "MAD", "KES", "GHS", "XOF", "XAF"),
        *("QAR", "KWD", "BHD", "OMR", "JOD", "LKR", "NPR", "PEN", "UYU", "BOB", "VES", "DOP"),
    }
)
"""What a cell that is a currency's code has; the further ones end too many words for a pair."""

_WORDS = {
    **{code.lower(): code for code in (*FIAT, *STABLECOINS)},
    "euro": "EUR",
    "euros": "EUR",
    "rupee": "INR",
    "rupees": "INR",
    "yen": "JPY",
    "yuan": "CNY",
    "reais": "BRL",
    "lira": "TRY",
    "rubles": "RUB",
    "tether": "USDT",
}
_SIGNS = {
    "€": "EUR",
    "£": "GBP",
    "¥": "JPY",
    "₹": "INR",
    "₩": "KRW",
    "₽": "RUB",
    "₺": "TRY",
    "₿": "BTC",
    "₫": "VND",
    "₴": "UAH",
    "฿": "THB",
    "₦": "NGN",
}
CURRENCY_SIGN = re.compile(rf"[${''.join(_SIGNS)}]")

_LAST_COINS = {code.lower(): code for code in QUOTE_COINS}
_FOREIGN_DOLLAR = re.compile(r"\b(?!US\$)([A-Z]{1,2})\$")
_PUNCTUATION = re.compile(r"[\s_\-./*#()\[\]$:,]+")
_WORD = re.compile(r"[^\W_]+")
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def plain(header: str) -> str:
    """Reduce a header to its letters and digits: `Market Cap ($)` and `marketCap` are one name."""
    return _PUNCTUATION.sub("", header).lower()


def is_known(header: str) -> bool:
    """Tell whether a header is one that exports use."""
    return plain(header) in VOLUMES or field_of(header) is not None


def field_of(header: str) -> str | None:
    """Find the field that a header is known for; None for others, and for a bare volume."""
    name = plain(header)
    for table in (IN_DOLLARS, IN_SOME_CURRENCY, WITHOUT_CURRENCY):
        for field, names in table.items():
            if name in names:
                return field
    return None


def currency_of(header: str) -> str | None:
    """Find the currency that a header names: `USD` before any other, None where it names none.

    A coin's code names the currency at the end (`price_btc`, `Volume BTC`); elsewhere it may name
    the coin that is priced (`BTC close`).
    """
    words = header_words(header)
    name = plain(header)
    if "usd" in words or "dollar" in words or "dollars" in words or "usd" in _joined(name):
        return DOLLAR
    if foreign := _FOREIGN_DOLLAR.search(header):
        return f"{foreign[1]}$"
    if "$" in header:
        return DOLLAR
    found = [_WORDS[word] for word in words if word in _WORDS]
    found += [sign for mark, sign in _SIGNS.items() if mark in header]
    found += [_WORDS[code] for code in _joined(name) if code in _WORDS]
    if not found and len(words) > 1 and words[-1] in _LAST_COINS:
        found = [_LAST_COINS[words[-1]]]
    return found[-1] if found else None


def is_dollars(cell: str, as_usd: frozenset[str] = frozenset()) -> bool:
    """Tell whether a cell that names a currency names dollars, or one that counts as them."""
    return cell.strip().lower() in DOLLARS or cell.strip().upper() in as_usd


def currency_in_cell(cell: str) -> str | None:
    """Find the currency that a whole cell names, by code, sign or word; None for other texts."""
    text = cell.strip()
    if is_dollars(text):
        return DOLLAR
    if text.upper() in _CODES:
        return text.upper()
    if _FOREIGN_DOLLAR.fullmatch(text):
        return text
    return _WORDS.get(text.lower()) or _SIGNS.get(text)


def header_words(header: str) -> list[str]:
    """Part a header into words in lower case: `marketPrice` has two."""
    return [word.lower() for part in _WORD.findall(header) for word in _HUMPS.split(part)]


def _joined(name: str) -> set[str]:
    """Find what is written together with the name of a known figure: `inr` in `priceinr`."""
    known = {each for names in IN_SOME_CURRENCY.values() for each in names} | {"volume"}
    return {
        name.removeprefix(each) if name.startswith(each) else name.removesuffix(each)
        for each in known
        if name != each and (name.startswith(each) or name.endswith(each))
    }
