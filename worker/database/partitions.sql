-- Partitions of `{table}`, by time. What is in them, periods.py says.

-- name: find_partitions
SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = CAST(:table AS regclass)

-- name: lock_table
-- What ATTACH needs anyway, taken first: of two workers the second then sees what the first made.
-- Readers and writers go on under it.
LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE

-- name: create_partition
-- Not PARTITION OF, which would lock readers and writers of the whole table out.
CREATE TABLE {partition} (LIKE {table} INCLUDING ALL)

-- name: attach_partition
ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES FROM ({start}) TO ({end})
