"""Access to Postgres: engine, locks, partitions, named SQL statements."""
