"""Readiness: whether the database answers and has the expected schema."""

import time

from flask import current_app

from api.database.pool import Database
from api.request.problems import DatabaseUnavailableError, SchemaNotReadyError
from api.request.process_metrics import Instruments
from shared.schema.base import SCHEMA_REVISION

TRUSTED_SECONDS = 3.0
"""Maximum age of the database's last answer. It is queried every second."""


def check_readiness() -> str:
    """Return the schema revision that the database reported last.

    Raises:
        ServiceUnavailable: it did not answer, or has another revision than expected.
    """
    instruments: Instruments = current_app.extensions["instruments"]
    with instruments.connection_use():
        return _check()


def _check() -> str:
    database: Database = current_app.extensions["database"]
    beat = database.heartbeat.last()
    if beat is None or beat.failure is not None:
        raise DatabaseUnavailableError
    age = time.monotonic() - beat.at
    if age > TRUSTED_SECONDS:
        raise DatabaseUnavailableError(f"the database has not answered for {age:.0f} s")
    return require_expected(beat.revision)


def require_expected(revision: str | None) -> str:
    """Return the revision if it is the one of this release.

    Raises:
        SchemaNotReadyError: it differs.
    """
    if revision != SCHEMA_REVISION:
        raise SchemaNotReadyError(
            f"the database schema is at revision {revision!r}, expected {SCHEMA_REVISION!r}; "
            "run `worker migrate`"
        )
    return revision
