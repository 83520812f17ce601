"""Removal of old raw records and rejects, with an archive."""
