"""Sources that answer JSON: pages, records, and the fields that are plainly good."""
