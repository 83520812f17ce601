-- Partitions of `{table}` by time. periods.py defines their bounds.

-- name: find_partitions
SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = CAST(:table AS regclass)

-- name: lock_table
-- ATTACH needs this lock anyway. It is taken first, so that the second of two workers sees the
-- partitions that the first one created. It blocks neither readers nor writers.
LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE

-- name: create_partition
-- Not PARTITION OF, which would block readers and writers of the whole table.
CREATE TABLE {partition} (LIKE {table} INCLUDING ALL)

-- name: attach_partition
ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES FROM ({start}) TO ({end})
