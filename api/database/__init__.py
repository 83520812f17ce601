"""The connection pool, its limits, and the change listener."""
