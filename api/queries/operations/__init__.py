"""Queries for operators: sources, runs, rejects, drift and statistics."""
