# ruff: noqa: N999  the name that gunicorn gives to such a file
"""gunicorn's settings: `gunicorn --config api/gunicorn.conf.py api.wsgi:app`."""

import os
import sys
from pathlib import Path
from typing import Any

from api.db import POOL_SIZE
from api.server import ProblemWorker, StructuredLogger
from shared.errors import ConfigurationError
from shared.logs import configure_logs
from shared.settings import Settings

try:
    settings = Settings.from_env(os.environ, Path(".env"))
except ConfigurationError as exc:
    sys.stderr.write(f"{exc}\n")
    sys.exit(2)  # as the worker ends; a traceback would bury the message
configure_logs(settings.log_level, settings.log_format)

bind = f"{settings.api_host}:{settings.api_port}"
worker_class = ProblemWorker
workers = 2
threads = POOL_SIZE
graceful_timeout = 20
timeout = 30
keepalive = 5
limit_request_line = 8190
accesslog = None  # the application writes its own
logger_class = StructuredLogger
control_socket_disable = True
# Nothing that a client sends decides who it is or how it came here.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
if Path("/dev/shm").is_dir():  # noqa: S108  the heartbeat files; the root may be read-only
    worker_tmp_dir = "/dev/shm"  # noqa: S108


def post_fork(server: Any, worker: ProblemWorker) -> None:
    """Let the worker see what the master was told before the worker could listen."""
    worker.heard_by_master = server.SIG_QUEUE
