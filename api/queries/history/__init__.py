"""Questions about the history of assets."""
