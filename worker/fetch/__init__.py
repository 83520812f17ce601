"""HTTP requests: client, limits, failures, budget."""
