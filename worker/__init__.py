"""Fetches from the sources, and is the only writer."""
