"""Pages cut into batches: each record checked, and what the pages showed noted for the run.

A batch never spans pages. A request costs more than a transaction, so what was fetched is committed
before the next page is requested.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

import structlog

from shared.partitions import Period, periods_of
from shared.records import Claim, FileReading, Observation, Page, RawRecord, Reject
from worker import staging
from worker.check import check
from worker.readings import Readings
from worker.shapes import ShapeCounter
from worker.snapshot_pages import PagePart
from worker.sources.base import Source
from worker.store import Batch

log = structlog.get_logger(__name__)


class PageCutter:
    """Cuts the pages of one run into batches, and counts what it read."""

    def __init__(
        self,
        source: Source,
        counter_of: Callable[[str], ShapeCounter],
        *,
        batch_size: int,
        clock: Callable[[], datetime],
        is_import: bool,
        tells_listed: bool,
    ) -> None:
        self.source = source
        self.counter_of = counter_of
        self.batch_size = batch_size
        self.clock = clock
        self.is_import = is_import
        self.tells_listed = tells_listed
        self.readings = Readings()
        self.periods: set[Period] = set()
        self.read = 0
        self.pages_not_modified = 0
        self.known = 0
        self.snapshot_progress = 0

    def batches(self, page: Page) -> Iterator[Batch]:
        """Cut a page into batches. Only the last moves the cursor on to the next page."""
        if page.notice:
            log.warning("the source does not page as asked", notice=page.notice)
        if page.restarts:
            self.snapshot_progress = self.known = 0
        if page.not_modified:
            self.pages_not_modified += 1
            self.known += page.known_count
        if page.file:
            self.readings.add_file(page.file)
        counter = self.counter_of(page.file.family if page.file else "")
        size = self.batch_size
        cuts = [*range(0, len(page.records), size), len(page.records)]
        now = self.clock()
        clean = True
        for part, (start, end) in enumerate(pairwise(cuts) if page.records else [(0, 0)]):
            unread_before = self.readings.unread_records
            observed, rejects = self._check(page.records[start:end], now, counter, page.file)
            periods = periods_of([said.observed_at for _, said in observed])
            self.periods |= set(periods)
            unreadable = self.readings.unread_records - unread_before
            clean = clean and not rejects and not unreadable
            last = end == len(page.records)
            if last:
                self.snapshot_progress += len(page.records) + page.known_count
            yield Batch(
                staging.stage(observed),
                len(observed),
                rejects,
                cursor=page.next_cursor if last else page.cursor,
                periods=periods,
                moves_cursor=not self.is_import,
                validators=self._validators(page, is_whole=last and clean),
                snapshot_progress=self.snapshot_progress,
                shapes=counter.take(),
                file=_file_of(page, is_last=last),
                begins_snapshot=page.restarts and self.tells_listed,
                page_part=self._part(page, part, last, observed, rejects),
                unreadable=unreadable,
                reads_anew=page.reads_anew,
            )

    def _validators(self, page: Page, *, is_whole: bool) -> Mapping[str, str | None]:
        """Say which answer a page is known by once a batch of it is loaded, if by any.

        Until the last batch, and where records were refused, what is stored is of two answers. A
        page with rejects keeps no `ETag`: a 304 would hide that it was refused.
        """
        if page.validator_key is None or page.not_modified or self.is_import:
            return {}
        return {page.validator_key: page.validator if is_whole else None}

    def _part(
        self,
        page: Page,
        part: int,
        is_last: bool,
        observed: Sequence[tuple[RawRecord, Observation | Claim]],
        rejects: Sequence[Reject],
    ) -> PagePart | None:
        """Say which listings a batch shows to be listed; refused records show it too."""
        if not self.tells_listed or page.restarts:
            return None
        name = page.validator_key or json.dumps(page.cursor)
        if page.not_modified:
            return PagePart(name, part, is_last, None)
        refused = {each.external_id.strip() for each in rejects if each.external_id}
        return PagePart(name, part, is_last, refused | {said.external_id for _, said in observed})

    def _check(
        self,
        records: Sequence[RawRecord],
        now: datetime,
        counter: ShapeCounter,
        file: FileReading | None,
    ) -> tuple[list[tuple[RawRecord, Observation | Claim]], list[Reject]]:
        observed: list[tuple[RawRecord, Observation | Claim]] = []
        rejects: list[Reject] = []
        for record in records:
            checked = check(self.source, record, now)
            received = record.document and self.source.received(record.document)
            if received:
                counter.add(received, record, checked)
            if isinstance(checked, Reject):
                rejects.append(checked)
                self.readings.add_reject(checked)
                continue
            observed.append((record, checked))
            if isinstance(checked, Observation):
                if checked.notes:
                    self.readings.add_notes(record, checked)
                if file is not None:
                    self.readings.add_price(file, record, checked)
        self.read += len(records)
        return observed, rejects


def _file_of(page: Page, *, is_last: bool) -> FileReading | None:
    """Give the file of a page for one of its batches; only the last is the end of the file."""
    if page.file is None:
        return None
    return replace(page.file, is_end=page.file.is_end and is_last)
