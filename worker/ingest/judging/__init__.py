"""Decide the outcome of a completed run."""
