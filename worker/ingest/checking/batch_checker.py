"""Check the records of one batch, except those that are recognised."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from shared.model.records import Claim, FileReading, Observation, RawRecord, Reject
from worker.drift.shapes import Checked, ShapeCounter
from worker.ingest.checking.check import check
from worker.ingest.checking.recognition import Recognition
from worker.ingest.judging.reading_notes import Readings
from worker.sources.base import Source
from worker.sources.json.records import read_record

RECOGNISED_FOR_ONE = 10
"""This many recognised records count as one towards the batch size: they are not sent."""


@dataclass(slots=True)
class CheckedRecords:
    """The checked records of one batch."""

    observed: list[tuple[RawRecord, Observation | Claim]] = field(default_factory=list)
    """The accepted records, and the observation or claim of each."""
    digests: list[str | None] = field(default_factory=list)
    """For each observed record, the digest by which it is recognised later; None if it is not."""
    rejects: list[Reject] = field(default_factory=list)
    recognised: list[str] = field(default_factory=list)
    """The external ids of the recognised records."""

    @property
    def fetched(self) -> int:
        return len(self.observed) + len(self.rejects) + len(self.recognised)

    def external_ids(self) -> set[str]:
        """Return the ids that the source still lists, including those of refused records."""
        refused = {reject.external_id.strip() for reject in self.rejects if reject.external_id}
        return refused.union(self.recognised, (content.external_id for _, content in self.observed))


class BatchChecker:
    """Checks the records of one run; `readings` collects how they were read."""

    def __init__(self, source: Source, recognition: Recognition, batch_size: int) -> None:
        self.readings = Readings()
        self._source = source
        self._recognition = recognition
        self._capacity = batch_size * RECOGNISED_FOR_ONE

    def check(
        self,
        records: Iterator[RawRecord],
        now: datetime,
        counter: ShapeCounter,
        file: FileReading | None,
    ) -> CheckedRecords:
        """Check the next records, as many as one batch can have."""
        checked, remaining = CheckedRecords(), self._capacity
        latest = now + self._source.max_clock_ahead
        for record in records:
            newest = record.newest
            if newest and self._recognition.is_unchanged(newest, latest):
                if not counter.add_again(newest.shape):
                    example = read_record(record.payload, record.position)
                    self._count(example, check(self._source, example, now), counter)
                checked.recognised.append(newest.external_id)
                remaining -= 1
            else:
                # A recognised record was not decoded; it is read if it is no longer unchanged.
                decoded = newest and read_record(record.payload, record.position, record.digest)
                self._add(decoded or record, now, counter, file, checked)
                remaining -= RECOGNISED_FOR_ONE
            if remaining <= 0:
                break
        return checked

    def _add(
        self,
        record: RawRecord,
        now: datetime,
        counter: ShapeCounter,
        file: FileReading | None,
        checked: CheckedRecords,
    ) -> None:
        result = check(self._source, record, now)
        shape = self._count(record, result, counter)
        if isinstance(result, Reject):
            checked.rejects.append(result)
            self.readings.add_reject(result)
            return
        checked.observed.append((record, result))
        has_notes = isinstance(result, Observation) and result.notes
        # Unreadable values are reported by each pass, so their records are never recognised.
        digest = None if has_notes else record.digest
        checked.digests.append(self._recognition.add(result, digest, shape))
        if isinstance(result, Observation):
            if result.notes:
                self.readings.add_notes(record, result)
            if file is not None:
                self.readings.add_price(file, record, result)

    def _count(self, record: RawRecord, result: Checked, counter: ShapeCounter) -> str | None:
        """Count the shape of a record, and return its key."""
        received = record.document and self._source.received(record.document)
        return counter.add(received, record, result) if received else None
