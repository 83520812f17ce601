"""Keys, rate limits, CORS, proxies and canonical paths."""
