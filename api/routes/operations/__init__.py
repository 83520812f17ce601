"""Routes for operators: runs, rejects, drift, reviews and statistics."""
