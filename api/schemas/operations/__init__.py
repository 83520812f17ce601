"""Schemas of what operators read: runs, rejects, drift, reviews and statistics."""
