"""What one cell or header of a CSV file means."""
