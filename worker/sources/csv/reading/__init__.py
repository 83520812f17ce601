"""From bytes to rows: dialect, header, padding."""
