"""The pages on quality: an overview, rejects, drift, divergent assets and identity reviews."""

from api.dashboard.pages.quality import divergent, drift, overview, rejects, reviews

__all__ = ["divergent", "drift", "overview", "rejects", "reviews"]
