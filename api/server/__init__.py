"""gunicorn's configuration, worker class and sockets."""
