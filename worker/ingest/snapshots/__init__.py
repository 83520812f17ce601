"""Which listings the snapshots of a source contain."""
