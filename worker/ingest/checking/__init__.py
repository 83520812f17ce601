"""From pages to batches: recognise records, check the others, cut pages into batches."""
