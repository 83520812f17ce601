"""The pages, one module each; each registers its views on the blueprint."""

from api.dashboard import errors
from api.dashboard.blueprint import bp
from api.dashboard.pages import (
    asset,
    divergent,
    files,
    market,
    quality,
    raw,
    rejects,
    reviews,
    runs,
    sign_in,
    sources,
)

__all__ = [
    "asset",
    "bp",
    "divergent",
    "errors",
    "files",
    "market",
    "quality",
    "raw",
    "rejects",
    "reviews",
    "runs",
    "sign_in",
    "sources",
]
