"""Queries about assets."""
