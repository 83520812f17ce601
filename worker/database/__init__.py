"""Access to Postgres: engine, locks, partitions, COPY, and named SQL statements."""
