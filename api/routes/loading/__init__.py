"""Routes for runs and what they counted, refused and found."""
