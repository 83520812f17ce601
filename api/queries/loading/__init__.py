"""Queries about sources, runs, rejects and drift."""
