"""Names and symbols: the form in which they are compared, and the slugs made of them."""

import re
import unicodedata
from functools import lru_cache

LONGEST_KEY = 300
LONGEST_SLUG = 100

COMMON_WORDS = frozenset(
    {"token", "tokens", "coin", "coins", "protocol", "network", "networks", "blockchain", "project"}
    | {"platform", "ecosystem", "foundation", "official", "crypto", "cryptocurrency", "erc20"}
)
"""Words that many names carry and that tell none from another."""

_SIGNS = re.compile(r"[\W_]+")
_COMMON_ENDING = re.compile(r"(?<=..)(?:token|coin)$")
_ARTICLES = frozenset({"a", "an", "and", "of", "the"})
_SEPARATORS = re.compile(r"[^a-z0-9]+")
_WORD = re.compile(r"[^\W_]+")
_ASIDE = re.compile(r"[(\[]\s*([^()\[\]]*?)\s*[)\]]")


@lru_cache(maxsize=100_000)
def normalise(label: str) -> str:
    """Bring a symbol or name to the form in which it is compared.

    Unicode NFKC (UAX #15), case folded, white space of any kind as one space. Words are kept. No
    more than `LONGEST_KEY` characters count: NFKC can make many of one, and an index holds so many.
    """
    return " ".join(unicodedata.normalize("NFKC", label).casefold().split())[:LONGEST_KEY]


def slugify(name: str, external_id: str) -> str:
    """Make a slug of an asset's name: `Wrapped Bitcoin` is `wrapped-bitcoin`.

    A name without Latin letters or digits leaves it to the external id; one in which that has none
    either is an `asset`.
    """
    for label in (name, external_id):
        plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
        slug = _SEPARATORS.sub("-", plain)[:LONGEST_SLUG].strip("-")
        if slug:
            return slug
    return "asset"


@lru_cache(maxsize=100_000)
def split_words(name: str, symbol: str) -> tuple[str, ...]:
    """Split a name into words, leaving out articles, and the symbol where it stands in brackets."""
    key = normalise(name)
    symbol_key = normalise(symbol)
    plain = _ASIDE.sub(lambda aside: " " if aside[1] == symbol_key else aside[0], key)
    words = tuple(_WORD.findall(plain)) or tuple(_WORD.findall(key))
    return tuple(word for word in words if word not in _ARTICLES) or words


@lru_cache(maxsize=100_000)
def name_tokens(name: str, symbol: str) -> tuple[str, ...]:
    """Take the words of a name that set it apart, in their order: `Bancor Network` is `bancor`.

    A name made of nothing but common words keeps them, and one without a letter or digit is its own
    only word.
    """
    words = split_words(name, symbol)
    key = normalise(name)
    telling = tuple(word for word in words if word not in COMMON_WORDS)
    return telling or words or ((key,) if key else ())


def comparable_name(name: str, symbol: str) -> str:
    """Join a name's tokens into the form in which names of two sources are compared."""
    return "".join(name_tokens(name, symbol))


def comparable_symbol(symbol: str) -> str:
    """Take signs, and a common word at its end, off a symbol: `TONCOIN` and `$TON` are `ton`."""
    return _COMMON_ENDING.sub("", _SIGNS.sub("", normalise(symbol)))


def slug_part(source: str, external_id: str, symbol: str) -> str:
    """Take the name out of an external id: `zrx-0x` of CoinPaprika is `0x`."""
    slug = external_id.casefold()
    if source == "csv" and ":" in slug:
        slug = slug.partition(":")[2]
    if source == "coinpaprika":
        prefix = f"{slugify(symbol, '')}-"
        # The id keeps the symbol of its first day.
        return slug.removeprefix(prefix) if slug.startswith(prefix) else slug.partition("-")[2]
    return slug
