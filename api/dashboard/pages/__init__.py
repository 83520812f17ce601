"""The pages, one module each; each registers its views on the blueprint."""

from api.dashboard import errors
from api.dashboard.blueprint import bp
from api.dashboard.pages import (
    asset,
    market,
    quality,
    raw,
    runs,
    sign_in,
    sources,
    static_files,
)

__all__ = [
    "asset",
    "bp",
    "errors",
    "market",
    "quality",
    "raw",
    "runs",
    "sign_in",
    "sources",
    "static_files",
]
