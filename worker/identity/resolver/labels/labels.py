"""The symbol and name of a listing in the forms in which they are compared."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from shared.model.slugs import slugify
from worker.identity.resolver.evidence import Candidate
from worker.identity.resolver.labels.names import (
    name_tokens,
    normalise,
    slug_part,
    split_words,
)
from worker.identity.resolver.labels.variants import find_kinds, find_versions

SOFT_WORDS = frozenset(
    {"finance", "dao", "chain", "hub", "exchange", "dex", "defi", "swap", "money", "usd"}
    | {"labs", "lab", "fi", "io", "com", "net", "org", "app", "game", "games", "gaming"}
    | {"stablecoin", "world", "global", "digital"}
)
"""Words that one source adds to a name and another source omits."""


class Labels(NamedTuple):
    """The comparable forms of a symbol, a name and the name in the external id."""

    symbol_key: str
    name_key: str
    tokens: frozenset[str]
    comparable: str
    """The name without common words, spaces and signs."""
    id_is_symbol: bool
    slug: str
    """The name in the id without hyphens; empty if that is the symbol or a number."""
    kinds: frozenset[str]
    versions: frozenset[str]
    common_words: frozenset[str]
    words: tuple[str, ...]
    """The tokens without `SOFT_WORDS`."""


@lru_cache(maxsize=20_000)
def parse_labels(source: str, external_id: str, symbol: str, name: str) -> Labels:
    symbol_key, name_key = normalise(symbol), normalise(name)
    tokens = name_tokens(name, symbol)
    distinct = frozenset(tokens)
    slug = slug_part(source, external_id, symbol)
    id_is_symbol = slug in {symbol_key, slugify(symbol, "")}
    return Labels(
        symbol_key,
        name_key,
        distinct,
        "".join(tokens),
        id_is_symbol,
        "" if id_is_symbol or slug.isdigit() else slug.replace("-", ""),
        find_kinds(symbol_key, name_key, slug),
        find_versions(name_key, slug),
        frozenset(split_words(name, symbol)) - distinct,
        tuple(distinct - SOFT_WORDS),
    )


def all_labels(candidate: Candidate) -> Iterator[Labels]:
    """Yield the present labels of a listing, then its former ones."""
    source, external_id = candidate.ref
    yield parse_labels(source, external_id, candidate.symbol, candidate.name)
    for name in candidate.names:
        if (name.symbol, name.name) != (candidate.symbol, candidate.name):
            yield parse_labels(source, external_id, name.symbol, name.name)
