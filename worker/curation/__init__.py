"""What people decide about listings, and how it is applied."""
