"""Whether this process can serve: with its database, at the schema that it expects."""

import time
from dataclasses import dataclass

from flask import current_app
from werkzeug.exceptions import ServiceUnavailable

from api.db import read
from api.problems import QueryTimeoutError, SchemaNotReadyError
from api.queries.schema import read_schema_revision
from shared.tables import SCHEMA_REVISION

LASTS_SECONDS = 1.0
"""How long a judgement holds: anybody may ask for it, as often as they like."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found, and until when it holds."""

    until: float
    failure: ServiceUnavailable | None = None


class Readiness:
    """Asks the database at most once a second in each process, whatever it says."""

    def __init__(self) -> None:
        self._last = Judgement(0.0)

    def check(self) -> None:
        """Return where this process can serve.

        That the database is away is never remembered: a connection tells so without asking it.

        Raises:
            ServiceUnavailable: it is away, or at another schema.
        """
        now, last = time.monotonic(), self._last
        lasts = now < last.until
        if lasts and last.failure is not None:
            raise last.failure.with_traceback(None)
        try:
            with read() as conn:  # one that the server has not closed
                if lasts:
                    return
                revision = read_schema_revision(conn)
            expect(revision)
        except (SchemaNotReadyError, QueryTimeoutError) as exc:
            self._last = Judgement(time.monotonic() + LASTS_SECONDS, exc)
            raise
        self._last = Judgement(now + LASTS_SECONDS)


def expect(revision: str | None) -> None:
    """Check the schema's revision.

    Raises:
        SchemaNotReadyError: it is another.
    """
    if revision != SCHEMA_REVISION:
        raise SchemaNotReadyError(
            f"the schema is at revision {revision!r}, expected {SCHEMA_REVISION!r}; "
            "run `worker migrate`"
        )


def check_readiness() -> None:
    """Check it of this application; `Readiness.check` says what that raises."""
    readiness: Readiness = current_app.extensions["readiness"]
    readiness.check()
