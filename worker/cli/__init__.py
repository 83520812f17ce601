"""The `worker` command: one module for each group of subcommands."""
