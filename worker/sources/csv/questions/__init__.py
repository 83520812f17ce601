"""What a CSV file leaves open, and the declarations that settle it."""
