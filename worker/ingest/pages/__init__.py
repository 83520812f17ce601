"""From pages to batches: records recognised, checked and cut."""
