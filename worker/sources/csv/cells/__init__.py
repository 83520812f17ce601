"""What a single cell or header of a CSV file means."""
