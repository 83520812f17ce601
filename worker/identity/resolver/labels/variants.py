"""Derivatives of a coin (wrapped, bridged, pegged, staked), and versions of it."""

import re

_WRAPPED_SYMBOLS = {"w": "wrapped", "st": "staked", "wst": "staked"}
_FOLLOWED = (
    "btc|eth|bnb|avax|matic|pol|sol|ftm|ada|dot|atom|near|xrp|doge|ltc|bch|celo|kava|trx|ton"
)
_SYMBOL = re.compile(rf"(w|st|wst)(?:{_FOLLOWED})")

_KINDS = {
    "wrapped": "wrapped",
    "bridged": "bridged",
    "pegged": "pegged",
    "peg": "pegged",
    "staked": "staked",
}
# Names of bridges are also names of coins (Wormhole, Multichain), so they count only in brackets.
_BRIDGES = frozenset(
    {"wormhole", "multichain", "anyswap", "portal", "allbridge", "axelar", "celer", "synapse"}
    | {"sollet", "chainport", "layerzero", "pos", "bridge", "bridged"}
)
_ASIDES = re.compile(r"[(\[]([^()\[\]]*)[)\]]")
_WORD = re.compile(r"[^\W_]+")
_SLUG_VERSION = re.compile(r"v[0-9]|old|legacy|classic")
_VERSION = re.compile(r"v?[0-9]{1,2}|old|new|legacy|classic|ii|iii")


def find_kinds(symbol_key: str, name_key: str, slug: str) -> frozenset[str]:
    """Find the kinds of derivative that a listing is; empty for the coin itself.

    Keys are normalised; `slug` is the name in the external id. A name without another word
    (`Multichain`, `Wormhole`) is a coin of that name.
    """
    kinds: set[str] = set()
    for words in (_WORD.findall(name_key), slug.split("-")):
        if len(words) > 1:
            kinds.update(_KINDS[word] for word in words if word in _KINDS)
    asides = _ASIDES.findall(name_key)
    is_bridge = any(_BRIDGES.intersection(_WORD.findall(aside)) for aside in asides)
    if is_bridge and _WORD.search(_ASIDES.sub(" ", name_key)):
        kinds.add("bridged")
    if any(label.endswith(".e") for label in (symbol_key, *asides)) or slug.endswith("-wormhole"):
        kinds.add("bridged")
    if follows := _SYMBOL.fullmatch(symbol_key):
        kinds.add(_WRAPPED_SYMBOLS[follows[1]])
    return frozenset(kinds)


def find_versions(name_key: str, slug: str) -> frozenset[str]:
    """Find the version words of a name and slug, such as `old` and `v2`.

    A bare number in an id is not a version: CoinGecko numbers namesakes, as in `avalanche-2`.
    """
    of_name = (word for word in _WORD.findall(name_key)[1:] if _VERSION.fullmatch(word))
    of_slug = (word for word in slug.split("-")[1:] if _SLUG_VERSION.fullmatch(word))
    return frozenset({*of_name, *of_slug})
