"""The Prometheus metrics of `/metrics`: requests, database, loading and processes."""
