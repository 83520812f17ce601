"""One run: its options, its row, its state, how it opens, how it is judged and closed."""
