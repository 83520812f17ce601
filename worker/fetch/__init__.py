"""HTTP requests: client, limits, failures and the request budget."""
