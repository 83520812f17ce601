"""Detect drift: changes in the shape of a source's records."""
