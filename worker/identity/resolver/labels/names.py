"""Names and symbols, and their comparable forms."""

import re
import unicodedata
from functools import lru_cache

from shared.model.slugs import slugify

LONGEST_KEY = 300

COMMON_WORDS = frozenset(
    {"token", "tokens", "coin", "coins", "protocol", "network", "networks", "blockchain", "project"}
    | {"platform", "ecosystem", "foundation", "official", "crypto", "cryptocurrency", "erc20"}
)
"""Words in many names that do not distinguish coins."""

_SIGNS = re.compile(r"[\W_]+")
_COMMON_ENDING = re.compile(r"(?<=..)(?:token|coin)$")
_ARTICLES = frozenset({"a", "an", "and", "of", "the"})
_WORD = re.compile(r"[^\W_]+")
_ASIDE = re.compile(r"[(\[]\s*([^()\[\]]*?)\s*[)\]]")


@lru_cache(maxsize=100_000)
def normalise(label: str) -> str:
    """Return the comparable form of a symbol or name.

    Unicode NFKC (UAX #15), case folded, with white space as single spaces, cut to `LONGEST_KEY`
    characters: NFKC can expand a character to many, and an index entry is limited.
    """
    return " ".join(unicodedata.normalize("NFKC", label).casefold().split())[:LONGEST_KEY]


@lru_cache(maxsize=100_000)
def split_words(name: str, symbol: str) -> tuple[str, ...]:
    """Split a name into words, without articles and without the symbol in brackets."""
    key = normalise(name)
    symbol_key = normalise(symbol)
    plain = _ASIDE.sub(lambda aside: " " if aside[1] == symbol_key else aside[0], key)
    words = tuple(_WORD.findall(plain)) or tuple(_WORD.findall(key))
    return tuple(word for word in words if word not in _ARTICLES) or words


@lru_cache(maxsize=100_000)
def name_tokens(name: str, symbol: str) -> tuple[str, ...]:
    """Return the distinctive words of a name, in their order: `Bancor Network` is `bancor`.

    A name of common words only keeps them. A name without letters or digits is one word.
    """
    words = split_words(name, symbol)
    key = normalise(name)
    distinctive = tuple(word for word in words if word not in COMMON_WORDS)
    return distinctive or words or ((key,) if key else ())


def comparable_name(name: str, symbol: str) -> str:
    """Return the form in which names of two sources are compared: the joined tokens."""
    return "".join(name_tokens(name, symbol))


def comparable_symbol(symbol: str) -> str:
    """Remove signs and a final common word from a symbol: `TONCOIN` and `$TON` are `ton`."""
    return _COMMON_ENDING.sub("", _SIGNS.sub("", normalise(symbol)))


def slug_part(source: str, external_id: str, symbol: str) -> str:
    """Return the name in an external id: `zrx-0x` of CoinPaprika is `0x`."""
    slug = external_id.casefold()
    if source == "csv" and ":" in slug:
        slug = slug.partition(":")[2]
    if source == "coinpaprika":
        prefix = f"{slugify(symbol, '')}-"
        # The id contains the first symbol of the coin, which may have changed.
        return slug.removeprefix(prefix) if slug.startswith(prefix) else slug.partition("-")[2]
    return slug
