"""The pages, one module each; each registers its views on the blueprint."""

from api.dashboard import errors
from api.dashboard.blueprint import bp
from api.dashboard.pages import asset, files, market, raw, sign_in

__all__ = ["asset", "bp", "errors", "files", "market", "raw", "sign_in"]
