"""Questions about assets."""
