"""One run: its options, its row, its state, how it opens and is closed."""
