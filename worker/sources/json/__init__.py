"""Sources with JSON responses: paging, records, and fast reading of regular records."""
