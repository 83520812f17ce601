"""Which listings a batch decides on together."""
