"""The documents of the API's responses."""
