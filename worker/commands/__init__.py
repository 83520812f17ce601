"""The groups of commands, one module for each."""
