"""Records, expectations and value rules."""
