"""Queries about the history of assets."""
