"""Records that their listings show already, recognised by their bytes before they are decoded.

Most of what a snapshot holds is what the last one held. Each listing has a digest of the bytes that
its newest record was received in: the same bytes again are the same record, which changes nothing.
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
from worker.ingest.pages import check

RECOGNISED = frozenset(name for name in RAW if EXPECTATIONS[name].min_snapshot_share is not None)
"""The sources whose records come again with each snapshot."""

DIGEST_LENGTH, SHAPE_LENGTH, READING_LENGTH = 32, 16, 16
"""In hexadecimal digits."""
READING_BEGINS = DIGEST_LENGTH + SHAPE_LENGTH

STATEMENTS = read_reusable(__file__, "recognition.sql")


class Recognition:
    """The newest records of a source's listings, as they are at each point of one run.

    Those alone that were observed before the run `started`: by our clock a later one may be of the
    future, to be refused. Nor is there any of a pending id, since each run counts those that come
    again, and a batch finds them among the records that it stages; nor of a listing that is new in
    this run, which may become pending.
    """

    def __init__(self, newest: Iterable[Newest], started: datetime) -> None:
        self._newest = {each.digest: each for each in newest}
        self._started = started

    def recognise(self, payloads: Iterable[bytes]) -> list[tuple[str, Newest | None]]:
        """Digest records, and find for each the listing that has it as its newest, if any does."""
        find = self._newest.get
        digests = [sha256(payload).hexdigest()[:DIGEST_LENGTH] for payload in payloads]
        return [(digest, find(digest)) for digest in digests]

    def stands(self, newest: Newest, latest: datetime) -> bool:
        """Whether a record that was recognised is still what its listing has, and no reject.

        It is not once another was read: one of the same instant prevails over it. A record that is
        observed later than `latest` is refused.
        """
        return self._newest.get(newest.digest) is newest and self._started <= latest

    def add(self, said: Observation | Claim, digest: str | None, shape: str | None) -> str | None:
        """Take in a record that was read; give what is to be stored as its digest.

        From now on it stands for its listing: what comes after it in the same bytes is unchanged.
        """
        before = self._digests.get(said.external_id)
        if before is not None:
            self._newest.pop(before, None)
        if digest is None or shape is None:
            return None
        if before is not None and said.observed_at <= self._started:
            self._digests[said.external_id] = digest
            self._newest[digest] = Newest(digest, said.external_id, shape)
        return f"{digest}{shape}{reading()}"

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {each.external_id: digest for digest, each in self._newest.items()}


def read_recognition(conn: Connection, source: str, started: datetime) -> Recognition:
    """Read what a source's listings have as their newest records; the caller holds its lock."""
    if source not in RECOGNISED:
        return Recognition([], started)
    asked = {"source": source, "started": started}
    # Past SQLAlchemy's rows, which would take as long as all the rest.
    rows = conn.execute(STATEMENTS["read_newest"], asked).cursor.fetchall()
    newest = (
        Newest(received[:DIGEST_LENGTH], external_id, received[DIGEST_LENGTH:READING_BEGINS])
        for received, external_id in rows
        if received.endswith(reading())
    )
    return Recognition(newest, started)


def update_digests(conn: Connection, source: str) -> None:
    """Have listings that show a staged record recognise it from now on, where they would not."""
    if source in RECOGNISED:
        conn.execute(STATEMENTS["update_digests"], {"source": source})


@cache
def reading() -> str:
    """Digest the program text by which records are read and refused; it is part of every digest.

    So a release that may read records otherwise recognises none that was read before it, and reads
    each of them once.
    """
    digest = sha256()
    for library in ("marshmallow", "msgspec"):
        digest.update(f"{library} {version(library)}\n".encode())
    for file in readers():
        digest.update(file.read_bytes())
    return digest.hexdigest()[:READING_LENGTH]


def readers() -> list[Path]:
    """List the files of the program that say what a record means, or why it is refused."""
    of_sources = Path(sources.__file__).parent.rglob("*.py")
    return [Path(check.__file__), Path(shapes.__file__), *sorted(of_sources)]
