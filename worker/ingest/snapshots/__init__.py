"""Track the ids in the snapshots of a source: pages, delisted listings, pending ids."""
