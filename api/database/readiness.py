"""Whether this process can serve: with its database, at the schema that it expects."""

import time

from flask import current_app

from api.database.pool import Database
from api.request.instruments import Instruments
from api.request.problems import DatabaseUnavailableError, SchemaNotReadyError
from shared.schema.base import SCHEMA_REVISION

TRUSTED_SECONDS = 3.0
"""How old the last answer of the database may be: it is asked every second."""


def check_readiness() -> str:
    """Return the revision that this application's database had when it was last asked.

    Raises:
        ServiceUnavailable: it did not answer, or is at another schema.
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
    return expect(beat.revision)


def expect(revision: str | None) -> str:
    """Return the schema's revision where it is the one of this release.

    Raises:
        SchemaNotReadyError: it is another.
    """
    if revision != SCHEMA_REVISION:
        raise SchemaNotReadyError(
            f"the schema is at revision {revision!r}, expected {SCHEMA_REVISION!r}; "
            "run `worker migrate`"
        )
    return revision
