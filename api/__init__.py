"""The read-only API: answers HTTP queries from the tables that the worker fills."""
