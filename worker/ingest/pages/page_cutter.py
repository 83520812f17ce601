"""Pages cut into batches: each record checked, and what the pages showed noted for the run.

A batch never spans pages. A request costs more than a transaction, so what was fetched is committed
before the next page is requested.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import count

import structlog

from shared.model.records import FileReading, Page
from worker.database.periods import Period, periods_of
from worker.drift.shapes import ShapeCounter
from worker.ingest.batch import copy
from worker.ingest.batch.contents import Batch
from worker.ingest.pages.batch_checker import BatchChecker, CheckedRecords
from worker.ingest.snapshots.snapshot_pages import PagePart

log = structlog.get_logger(__name__)


class PageCutter:
    """Cuts the pages of one run into batches, and counts what it read."""

    def __init__(
        self,
        checker: BatchChecker,
        counter_of: Callable[[str], ShapeCounter],
        *,
        clock: Callable[[], datetime],
        is_import: bool,
        shows_listed: bool,
    ) -> None:
        self.counter_of = counter_of
        self.clock = clock
        self.is_import = is_import
        self.shows_listed = shows_listed
        self.checker = checker
        self.readings = checker.readings
        self.periods: set[Period] = set()
        self.read = 0
        self.pages_not_modified = 0
        self.records_known = 0
        self.snapshot_progress = 0

    def batches(self, page: Page) -> Iterator[Batch]:
        """Cut a page into batches. Only the last moves the cursor on to the next page."""
        if page.notice:
            log.warning("the source does not page as asked", notice=page.notice)
        if page.restarts:
            self.snapshot_progress = self.records_known = 0
        if page.not_modified:
            self.pages_not_modified += 1
            self.records_known += page.known_count
        if page.file:
            self.readings.add_file(page.file)
        counter = self.counter_of(page.file.family if page.file else "")
        now = self.clock()
        records, clean, end = iter(page.records), True, 0
        for part in count():
            unread_before = self.readings.unread_records
            checked = self.checker.check(records, now, counter, page.file)
            self.read += checked.fetched
            end += checked.fetched
            last = end == len(page.records)
            periods = periods_of([said.observed_at for _, said in checked.observed])
            self.periods |= set(periods)
            unreadable = self.readings.unread_records - unread_before
            clean = clean and not checked.rejects and not unreadable
            if last:
                self.snapshot_progress += len(page.records) + page.known_count
            yield Batch(
                copy.stage(checked.observed, checked.digests),
                len(checked.observed),
                checked.rejects,
                recognised=len(checked.recognised),
                cursor=page.next_cursor if last else page.cursor,
                periods=periods,
                moves_cursor=not self.is_import,
                validators=self._validators(page, is_whole=last and clean),
                snapshot_progress=self.snapshot_progress,
                shapes=counter.take(),
                file=_file_of(page, is_last=last),
                begins_snapshot=page.restarts and self.shows_listed,
                page_part=self._part(page, part, last, checked),
                unreadable=unreadable,
                reads_anew=page.reads_anew,
            )
            if last:
                return

    def _validators(self, page: Page, *, is_whole: bool) -> Mapping[str, str | None]:
        """Say which answer a page is known by once a batch of it is loaded, if by any.

        Until the last batch, and where records were refused, what is stored is of two answers. A
        page with rejects keeps no `ETag`: a 304 would hide that it was refused.
        """
        if page.validator_key is None or page.not_modified or self.is_import:
            return {}
        return {page.validator_key: page.validator if is_whole else None}

    def _part(
        self, page: Page, part: int, is_last: bool, checked: CheckedRecords
    ) -> PagePart | None:
        """Say which listings a batch shows to be listed, where that is judged."""
        if not self.shows_listed or page.restarts:
            return None
        name = page.validator_key or json.dumps(page.cursor)
        if page.not_modified:
            return PagePart(name, part, is_last, None)
        return PagePart(name, part, is_last, checked.external_ids())


def _file_of(page: Page, *, is_last: bool) -> FileReading | None:
    """Give the file of a page for one of its batches; only the last is the end of the file."""
    if page.file is None:
        return None
    return replace(page.file, is_end=page.file.is_end and is_last)
