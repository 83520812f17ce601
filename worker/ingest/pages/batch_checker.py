"""The records of one batch, checked one by one: those that are known are recognised instead."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from shared.model.records import Claim, FileReading, Observation, RawRecord, Reject
from worker.drift.shapes import Checked, ShapeCounter
from worker.ingest.judging.readings import Readings
from worker.ingest.pages.check import check
from worker.ingest.pages.recognition import Recognition
from worker.sources.base import Source
from worker.sources.json.records import read_record

RECOGNISED_FOR_ONE = 10
"""So many recognised records take the room of one in a batch: nothing of them is sent."""


@dataclass(slots=True)
class CheckedRecords:
    """What became of the records of one batch; `recognised` are ids of listings.

    By its one of `digests` an observed record is recognised when it comes again, if it can be.
    """

    observed: list[tuple[RawRecord, Observation | Claim]] = field(default_factory=list)
    digests: list[str | None] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    recognised: list[str] = field(default_factory=list)

    @property
    def fetched(self) -> int:
        return len(self.observed) + len(self.rejects) + len(self.recognised)

    def external_ids(self) -> set[str]:
        """Name the listings that these show to be listed; refused records show it too."""
        refused = {each.external_id.strip() for each in self.rejects if each.external_id}
        return refused.union(self.recognised, (said.external_id for _, said in self.observed))


class BatchChecker:
    """Checks the records of one run, and collects in `readings` how they were read."""

    def __init__(self, source: Source, recognition: Recognition, batch_size: int) -> None:
        self.readings = Readings()
        self._source = source
        self._recognition = recognition
        self._room = batch_size * RECOGNISED_FOR_ONE

    def check(
        self,
        records: Iterator[RawRecord],
        now: datetime,
        counter: ShapeCounter,
        file: FileReading | None,
    ) -> CheckedRecords:
        """Check the next records, as many as one batch has room for."""
        checked, room = CheckedRecords(), self._room
        latest = now + self._source.max_clock_ahead
        for record in records:
            known = record.newest
            if known and self._recognition.stands(known, latest):
                if not counter.add_again(known.shape):
                    read = read_record(record.payload, record.position)
                    self._count(read, check(self._source, read, now), counter)
                checked.recognised.append(known.external_id)
                room -= 1
            else:
                again = known and read_record(record.payload, record.position, record.digest)
                self._read(again or record, now, counter, file, checked)
                room -= RECOGNISED_FOR_ONE
            if room <= 0:
                break
        return checked

    def _read(
        self,
        record: RawRecord,
        now: datetime,
        counter: ShapeCounter,
        file: FileReading | None,
        checked: CheckedRecords,
    ) -> None:
        said = check(self._source, record, now)
        shape = self._count(record, said, counter)
        if isinstance(said, Reject):
            checked.rejects.append(said)
            self.readings.add_reject(said)
            return
        checked.observed.append((record, said))
        is_noted = isinstance(said, Observation) and said.notes
        # A value that is not readable is noted with each pass.
        digest = None if is_noted else record.digest
        checked.digests.append(self._recognition.add(said, digest, shape))
        if isinstance(said, Observation):
            if said.notes:
                self.readings.add_notes(record, said)
            if file is not None:
                self.readings.add_price(file, record, said)

    def _count(self, record: RawRecord, said: Checked, counter: ShapeCounter) -> str | None:
        received = record.document and self._source.received(record.document)
        return counter.add(received, record, said) if received else None
