"""`make run`: the database, the worker and the API as one command."""
