"""Symbols and names: the forms in which they are compared."""
