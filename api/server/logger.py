"""gunicorn's worker and log, in this program's formats."""

import signal
from queue import SimpleQueue
from typing import Any

from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from api.server.connections import PatientWorker
from api.server.refusals import Refusal, refuse


class _Heard:
    """Stands in for the client's socket, to learn what gunicorn would have said."""

    def __init__(self) -> None:
        self.said = b""

    def gettimeout(self) -> float:
        return 0.0

    def sendall(self, data: bytes) -> None:
        self.said += data


class ProblemWorker(PatientWorker):
    """A threaded worker that answers broken requests with `application/problem+json`."""

    heard_by_master: SimpleQueue[int] | None = None
    """The master's signals as they stood in this process at its fork; `post_fork` leaves it."""

    def init_signals(self) -> None:
        """Listen to signals, and end at once where one came between the fork and this call.

        gunicorn forgets it: the master would wait for this process until its patience ends.
        """
        super().init_signals()
        while self.heard_by_master and not self.heard_by_master.empty():
            if self.heard_by_master.get() in {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}:
                self.alive = False

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Say what gunicorn says, in another format."""
        heard = _Heard()
        super().handle_error(req, heard, addr, exc)
        status = int((heard.said.split(maxsplit=2)[1:2] or [b"500"])[0])
        client.sendall(refuse(Refusal(status), addr, self.wsgi.extensions["instruments"]))


class StructuredLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's own words, sent where `shared.logs` sends everything else."""

    def setup(self, cfg: Any) -> None:
        """Set up what gunicorn wants, without handlers of its own."""
        super().setup(cfg)
        for logger in (self.error_log, self.access_log):
            logger.handlers.clear()
            logger.propagate = True
