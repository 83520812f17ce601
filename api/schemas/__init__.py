"""The documents that the API answers with."""
