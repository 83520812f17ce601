"""Recognise unchanged records by a digest of their bytes, before they are decoded.

Most records of a snapshot are the same as in the previous one. Each listing has a digest of the
bytes of its newest record. The same bytes again are the same record, so nothing changes.
"""

from collections.abc import Iterable
from datetime import datetime
from functools import cache, cached_property
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import Connection

from shared.model.catalogue import EXPECTATIONS
from shared.model.records import Claim, Newest, Observation
from shared.schema.raw import RAW
from worker import sources
from worker.database.statements import read_reusable
from worker.drift import shapes
from worker.ingest.checking import check

RECOGNISED = frozenset(name for name in RAW if EXPECTATIONS[name].min_snapshot_share is not None)
"""The sources whose snapshots repeat unchanged records."""

DIGEST_LENGTH, SHAPE_LENGTH, READING_LENGTH = 32, 16, 16
"""In hexadecimal digits."""
READING_BEGINS = DIGEST_LENGTH + SHAPE_LENGTH

STATEMENTS = read_reusable(__file__, "recognition.sql")


class Recognition:
    """The newest records of a source's listings, kept up to date during one run.

    Three kinds of records are left out. A record observed after the run `started` could be in the
    future, and must be refused. Pending ids are counted among staged records by each run. A listing
    that is new in this run can become pending.
    """

    def __init__(self, newest: Iterable[Newest], started: datetime) -> None:
        self._newest = {record.digest: record for record in newest}
        self._started = started

    def recognise(self, payloads: Iterable[bytes]) -> list[tuple[str, Newest | None]]:
        """Return the digest of each record, and the listing whose newest record has it, if any."""
        find = self._newest.get
        digests = [sha256(payload).hexdigest()[:DIGEST_LENGTH] for payload in payloads]
        return [(digest, find(digest)) for digest in digests]

    def is_unchanged(self, newest: Newest, latest: datetime) -> bool:
        """Whether a recognised record is still the newest of its listing, and not refused.

        After another record of the listing was read, it is not: with the same instant, the later
        one prevails. A record that is observed later than `latest` is refused.
        """
        return self._newest.get(newest.digest) is newest and self._started <= latest

    def add(
        self, content: Observation | Claim, digest: str | None, shape: str | None
    ) -> str | None:
        """Add a record that was read, and return the digest to store with it.

        The record is now the newest of its listing: the same bytes later in the run are recognised.
        """
        before = self._digests.get(content.external_id)
        if before is not None:
            self._newest.pop(before, None)
        if digest is None or shape is None:
            return None
        if before is not None and content.observed_at <= self._started:
            self._digests[content.external_id] = digest
            self._newest[digest] = Newest(digest, content.external_id, shape)
        return f"{digest}{shape}{readers_digest()}"

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {newest.external_id: digest for digest, newest in self._newest.items()}


def read_recognition(conn: Connection, source: str, started: datetime) -> Recognition:
    """Read the newest records of a source's listings; the caller holds the lock of the source."""
    if source not in RECOGNISED:
        return Recognition([], started)
    parameters = {"source": source, "started": started}
    # Creating SQLAlchemy's rows would double the time.
    rows = conn.execute(STATEMENTS["read_newest"], parameters).cursor.fetchall()
    newest = (
        Newest(received[:DIGEST_LENGTH], external_id, received[DIGEST_LENGTH:READING_BEGINS])
        for received, external_id in rows
        if received.endswith(readers_digest())
    )
    return Recognition(newest, started)


def update_digests(conn: Connection, source: str) -> None:
    """Store the digests of staged records that are the newest of their listings."""
    if source in RECOGNISED:
        conn.execute(STATEMENTS["update_digests"], {"source": source})


@cache
def readers_digest() -> str:
    """Digest the source code that reads and refuses records; it is a part of every digest.

    After an upgrade that changes this code, no record is recognised until it was read once more.
    """
    digest = sha256()
    for library in ("marshmallow", "msgspec"):
        digest.update(f"{library} {version(library)}\n".encode())
    for file in readers():
        digest.update(file.read_bytes())
    return digest.hexdigest()[:READING_LENGTH]


def readers() -> list[Path]:
    """List the source files that decide how a record is read, or why it is refused."""
    of_sources = Path(sources.__file__).parent.rglob("*.py")
    return [Path(check.__file__), Path(shapes.__file__), *sorted(of_sources)]
