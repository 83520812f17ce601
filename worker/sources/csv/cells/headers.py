"""Known headers of exports, and the currencies that headers and cells name."""

import re
from collections.abc import Mapping

from shared.model.records import VALUES

FIELDS = ("id", "symbol", "name", "observed_at", "currency", *VALUES)
"""Fields that a column can be declared to hold."""

SUPPLIES = ("circulating_supply", "total_supply", "max_supply")
"""Values that count coins, not dollars."""

MONEY_HEADERS: Mapping[str, frozenset[str]] = {
    "price_usd": frozenset(
        {"price", "currentprice", "close", "closeprice", "closingprice", "lastprice"}
    ),
    "market_cap_usd": frozenset({"marketcap", "marketcapitalization", "marketcapitalisation"}),
    "volume_24h_usd": frozenset({"volume24h", "24hvolume", "24hrvolume", "totalvolume"}),
}
"""Headers of amounts of money that do not name their currency."""

_PROVIDER_HEADERS = {
    # Metrics of Coin Metrics, and flattened JSON paths of CoinMarketCap and CoinPaprika.
    "price_usd": {"referencerateusd", "quoteusdprice", "quotesusdprice"},
    "market_cap_usd": {"capmrktcurusd", "quoteusdmarketcap", "quotesusdmarketcap"},
    "volume_24h_usd": {
        *("volumereportedspotusd1d", "volumetrustedspotusd1d"),
        *("quoteusdvolume24h", "quotesusdvolume24h"),
    },
}
DOLLAR_HEADERS: Mapping[str, frozenset[str]] = {
    field: frozenset(
        {f"{name}usd" for name in names}
        | {f"usd{name}" for name in names}
        | {f"{name}inusd" for name in names}
        | _PROVIDER_HEADERS[field]
    )
    for field, names in MONEY_HEADERS.items()
}
"""Headers of amounts of money that name US dollars."""

OTHER_HEADERS: Mapping[str, frozenset[str]] = {
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
VOLUME_HEADERS = {"volume", "volumeusd"}
"""Headers that may mean the volume of 24 hours in dollars, or another volume."""

DOLLAR = "USD"
DOLLAR_NAMES = frozenset({"usd", "us$", "$", "us dollar", "us dollars", "dollar", "dollars"})
"""Cells that name the US dollar, in lower case."""

STABLECOINS = (
    *("USDT", "USDC", "BUSD", "DAI", "TUSD", "USDP", "FDUSD", "GUSD", "PYUSD", "USDD", "USDE"),
    *("LUSD", "FRAX", "SUSD", "USDS", "CRVUSD", "USD1"),
)
"""Coins pegged to the dollar; they count as dollars only if declared (`as_usd`)."""

FIAT = (
    *("EUR", "GBP", "JPY", "CNY", "CNH", "RMB", "INR", "KRW", "BRL", "CHF", "AUD", "CAD", "NZD"),
    *("RUB", "MXN", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "ZAR", "SGD", "HKD", "TWD", "THB"),
    *("IDR", "MYR", "PHP", "VND", "UAH", "ILS", "AED", "SAR", "NGN", "PKR", "BDT", "ARS", "CLP"),
    *("COP", "TRY", "KZT"),
)
QUOTE_COINS = ("BTC", "XBT", "ETH", "BNB", "SATS", "SAT")
"""Coins that other coins are priced in."""

_CODES = frozenset(
    {
        *(*FIAT, *STABLECOINS, *QUOTE_COINS),
        *("RON", "BGN", "ISK", "HRK", "RSD", "GEL", "EGP", "MAD", "KES", "GHS", "XOF", "XAF"),
        *("QAR", "KWD", "BHD", "OMR", "JOD", "LKR", "NPR", "PEN", "UYU", "BOB", "VES", "DOP"),
    }
)
"""Currency codes of whole cells. The additional ones end too many words to be quotes of pairs."""

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

_TRAILING_COINS = {code.lower(): code for code in QUOTE_COINS}
_FOREIGN_DOLLAR = re.compile(r"\b(?!US\$)([A-Z]{1,2})\$")
_PUNCTUATION = re.compile(r"[\s_\-./*#()\[\]$:,]+")
_WORD = re.compile(r"[^\W_]+")
_CAMEL_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def normalise_header(header: str) -> str:
    """Reduce a header to lower-case letters and digits: `Market Cap ($)` and `marketCap` match."""
    return _PUNCTUATION.sub("", header).lower()


def is_known_header(header: str) -> bool:
    return normalise_header(header) in VOLUME_HEADERS or field_for_header(header) is not None


def field_for_header(header: str) -> str | None:
    """Return the field that a known header means; None for a bare volume, which is ambiguous."""
    name = normalise_header(header)
    for table in (DOLLAR_HEADERS, MONEY_HEADERS, OTHER_HEADERS):
        for field, names in table.items():
            if name in names:
                return field
    return None


def currency_in_header(header: str) -> str | None:
    """Return the currency that a header names; dollars take precedence over any other.

    The code of a coin counts only at the end (`price_btc`, `Volume BTC`). Elsewhere it may be the
    coin that is priced (`BTC close`).
    """
    words = header_words(header)
    name = normalise_header(header)
    if "usd" in words or "dollar" in words or "dollars" in words or "usd" in _attached_parts(name):
        return DOLLAR
    if foreign := _FOREIGN_DOLLAR.search(header):
        return f"{foreign[1]}$"
    if "$" in header:
        return DOLLAR
    found = [_WORDS[word] for word in words if word in _WORDS]
    found += [sign for mark, sign in _SIGNS.items() if mark in header]
    found += [_WORDS[code] for code in _attached_parts(name) if code in _WORDS]
    if not found and len(words) > 1 and words[-1] in _TRAILING_COINS:
        found = [_TRAILING_COINS[words[-1]]]
    return found[-1] if found else None


def is_dollars(cell: str, as_usd: frozenset[str] = frozenset()) -> bool:
    """Whether a cell names US dollars, or a currency in `as_usd`."""
    return cell.strip().lower() in DOLLAR_NAMES or cell.strip().upper() in as_usd


def currency_in_cell(cell: str) -> str | None:
    """Return the currency that a cell consists of, as code, sign or word; otherwise None."""
    text = cell.strip()
    if is_dollars(text):
        return DOLLAR
    if text.upper() in _CODES:
        return text.upper()
    if _FOREIGN_DOLLAR.fullmatch(text):
        return text
    return _WORDS.get(text.lower()) or _SIGNS.get(text)


def header_words(header: str) -> list[str]:
    """Split a header into lower-case words: `marketPrice` has two."""
    return [word.lower() for part in _WORD.findall(header) for word in _CAMEL_CASE.split(part)]


def _attached_parts(name: str) -> set[str]:
    """Return what remains of a header without a known name: `inr` for `priceinr`."""
    known = {each for names in MONEY_HEADERS.values() for each in names} | {"volume"}
    return {
        name.removeprefix(each) if name.startswith(each) else name.removesuffix(each)
        for each in known
        if name != each and (name.startswith(each) or name.endswith(each))
    }
