"""Which asset a listing is."""
