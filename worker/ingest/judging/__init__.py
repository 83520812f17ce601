"""How a run that came to its end is judged."""
