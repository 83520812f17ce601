"""Commands that keep a database in order: migrate, verify, reprocess, retry."""
