"""What `/metrics` shows, for Prometheus: requests, the database, the loading, the processes."""
