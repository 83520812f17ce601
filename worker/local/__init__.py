"""What `make run` starts and stops: the database, the worker and the API."""
