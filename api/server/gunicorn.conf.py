# ruff: noqa: N999  the name that gunicorn gives to such a file
"""gunicorn's settings: `gunicorn --config api/server/gunicorn.conf.py api.wsgi:app`."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from api.server.scratch import open_scratch_folder

# Where the workers count together: known before anything of the API, and so prometheus-client, is
# imported.
metrics_folder = open_scratch_folder("kasparro-api-metrics")
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics_folder)

# ruff: noqa: E402
from api.database.pool import POOL_SIZE, Database
from api.metrics.past import forget
from api.middleware.counters import share_counters
from api.middleware.limits import check_storage
from api.server.logger import ProblemWorker, StructuredLogger
from shared.errors import ConfigurationError
from shared.logs import configure_logs
from shared.settings import Settings

try:
    settings = Settings.from_env(os.environ, Path(".env"))
    check_storage(settings)
except ConfigurationError as exc:
    sys.stderr.write(f"{exc}\n")
    sys.exit(2)  # as the worker ends; a traceback would bury the message
configure_logs(settings.log_level, settings.log_format)
share_counters()
ProblemWorker.share = settings.api_client_threads
ProblemWorker.proxies = settings.api_trusted_proxies

bind = f"{settings.api_host}:{settings.api_port}"
worker_class = ProblemWorker
workers = 2
threads = POOL_SIZE
graceful_timeout = 20
timeout = 30
keepalive = 5
limit_request_line = 8190
sendfile = False  # it would wait in a thread until the client has taken the file
worker_connections = 800  # with the 1024 files that a process may have open by default
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


def post_worker_init(worker: ProblemWorker) -> None:
    """Let no thread wait long for busy ones, and know the database before anybody asks.

    Of Python's own 5 ms a probe would wait for several, each time that it was off the CPU.
    """
    sys.setswitchinterval(0.0005)
    database: Database | None = worker.wsgi.extensions.get("database")
    if database is not None:
        database.heartbeat.start()


def child_exit(server: Any, worker: ProblemWorker) -> None:
    """Keep what a worker counted, however it ended."""
    forget(metrics_folder, worker.pid, server.WORKERS)


def on_exit(_server: Any) -> None:
    """Leave nothing behind."""
    shutil.rmtree(metrics_folder, ignore_errors=True)
