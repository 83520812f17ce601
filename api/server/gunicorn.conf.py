# ruff: noqa: N999  gunicorn's usual name for this file
"""gunicorn's settings: `gunicorn --config api/server/gunicorn.conf.py api.wsgi:app`."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from api.server.scratch import open_scratch_folder

# The folder of the shared metrics. prometheus-client reads the variable when the API imports it.
metrics_folder = open_scratch_folder("kasparro-api-metrics")
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics_folder)

# ruff: noqa: E402
# The processes share what the master imports, so that each starts in a fraction of a second.
import api.app  # noqa: F401
from api.database.pool import POOL_SIZE, Database
from api.metrics.multiprocess import merge_ended
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
    sys.exit(2)  # like the worker, and without a traceback
configure_logs(settings.log_level, settings.log_format)
share_counters()
ProblemWorker.client_threads = settings.api_client_threads
ProblemWorker.proxies = settings.api_trusted_proxies

bind = f"{settings.api_host}:{settings.api_port}"
worker_class = ProblemWorker
workers = 2
threads = POOL_SIZE
graceful_timeout = 20
timeout = 30
keepalive = 5
limit_request_line = 8190
sendfile = False  # it would block a thread until the client has read the file
worker_connections = 800  # a process may have 1024 files open by default
accesslog = None  # the application writes the access log
logger_class = StructuredLogger
control_socket_disable = True
# gunicorn ignores forwarding headers; `api.middleware.proxies` reads them.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
if Path("/dev/shm").is_dir():  # noqa: S108  for heartbeat files, as `/` may be read-only
    worker_tmp_dir = "/dev/shm"  # noqa: S108


def post_fork(server: Any, worker: ProblemWorker) -> None:
    """Pass the master's queue of signals to the worker; see `ProblemWorker.init_signals`."""
    worker.master_signals = server.SIG_QUEUE


def post_worker_init(worker: ProblemWorker) -> None:
    """Shorten the switch interval of threads, and start the heartbeat of the database.

    With Python's default of 5 ms, a probe would wait for several intervals behind busy threads.
    """
    sys.setswitchinterval(0.0005)
    database: Database | None = worker.wsgi.extensions.get("database")
    if database is not None:
        database.heartbeat.start()


def child_exit(server: Any, worker: ProblemWorker) -> None:
    """Preserve the counts of an ended worker."""
    merge_ended(metrics_folder, worker.pid, server.WORKERS)


def on_exit(_server: Any) -> None:
    shutil.rmtree(metrics_folder, ignore_errors=True)
