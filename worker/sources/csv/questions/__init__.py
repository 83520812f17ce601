"""Questions about a CSV file, and contradictions for which it is refused."""
