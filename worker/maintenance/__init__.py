"""Maintenance of the database: migrate, verify, reprocess, prune, retry, API keys, reports."""
