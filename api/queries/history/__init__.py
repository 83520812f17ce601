"""Questions about the history of one asset."""
