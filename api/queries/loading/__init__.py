"""Questions about sources, runs, rejects and drift."""
