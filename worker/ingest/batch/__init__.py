"""The transaction that loads one batch."""
