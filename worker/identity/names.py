"""Names and symbols: the form in which they are compared, and the slugs made of them."""

import re
import unicodedata
from functools import lru_cache

LONGEST_KEY = 300
LONGEST_SLUG = 100

_SEPARATORS = re.compile(r"[^a-z0-9]+")


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
