"""Slugs of assets."""

import re
import unicodedata

LONGEST_SLUG = 100

_SEPARATORS = re.compile(r"[^a-z0-9]+")


def slugify(name: str, external_id: str) -> str:
    """Derive a slug from an asset's name: `Wrapped Bitcoin` is `wrapped-bitcoin`.

    If the name has no Latin letters or digits, the external id is used. If that has none either,
    the slug is `asset`.
    """
    for label in (name, external_id):
        plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
        slug = _SEPARATORS.sub("-", plain)[:LONGEST_SLUG].strip("-")
        if slug:
            return slug
    return "asset"
