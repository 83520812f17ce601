"""gunicorn's worker class and logger, with this program's error and log formats."""

import signal
from queue import SimpleQueue
from typing import Any

from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from api.server.connections import NonBlockingWorker
from api.server.refusals import Refusal, refuse


class _ResponseRecorder:
    """Replaces the client's socket, to record gunicorn's own response."""

    def __init__(self) -> None:
        self.response = b""

    def gettimeout(self) -> float:
        return 0.0

    def sendall(self, data: bytes) -> None:
        self.response += data


class ProblemWorker(NonBlockingWorker):
    """A threaded worker that answers malformed requests with `application/problem+json`."""

    master_signals: SimpleQueue[int] | None = None
    """The master's queue of signals at the time of the fork; `post_fork` sets it."""

    def init_signals(self) -> None:
        """Install the signal handlers, and stop if a signal arrived since the fork.

        gunicorn loses such a signal, and the master would wait for its whole graceful timeout.
        """
        super().init_signals()
        while self.master_signals and not self.master_signals.empty():
            if self.master_signals.get() in {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}:
                self.alive = False

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Send gunicorn's error as a problem document."""
        recorder = _ResponseRecorder()
        super().handle_error(req, recorder, addr, exc)
        status = int((recorder.response.split(maxsplit=2)[1:2] or [b"500"])[0])
        client.sendall(refuse(Refusal(status), addr, self.wsgi.extensions["instruments"]))


class StructuredLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """Sends gunicorn's messages to the log of `shared.logs`."""

    def setup(self, cfg: Any) -> None:
        """Set up gunicorn's loggers without their own handlers."""
        super().setup(cfg)
        for logger in (self.error_log, self.access_log):
            logger.handlers.clear()
            logger.propagate = True
