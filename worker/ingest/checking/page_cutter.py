"""Cut pages into batches of checked records, and count them for the run.

A batch never spans pages. A request costs more than a transaction, so the records of a page are not
held back to fill a batch with those of the next.
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
from worker.ingest.checking.batch_checker import BatchChecker, CheckedRecords
from worker.ingest.snapshots.snapshot_pages import PagePart

log = structlog.get_logger(__name__)


class PageCutter:
    """Cuts the pages of one run into batches, and counts pages and records."""

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
        self.records_read = 0
        self.pages_not_modified = 0
        self.records_known = 0
        self.snapshot_progress = 0

    def batches(self, page: Page) -> Iterator[Batch]:
        """Cut a page into batches. Only the last one moves the cursor to the next page."""
        if page.notice:
            log.warning("the paging of the source differed from the request", notice=page.notice)
        if page.restarts:
            self.snapshot_progress = self.records_known = 0
        if page.not_modified:
            self.pages_not_modified += 1
            self.records_known += page.known_count
        if page.file:
            self.readings.add_file(page.file)
        counter = self.counter_of(page.file.family if page.file else "")
        now = self.clock()
        records, is_clean, end = iter(page.records), True, 0
        for part in count():
            unread_before = self.readings.unread_records
            checked = self.checker.check(records, now, counter, page.file)
            self.records_read += checked.fetched
            end += checked.fetched
            is_last = end == len(page.records)
            periods = periods_of([content.observed_at for _, content in checked.observed])
            self.periods |= set(periods)
            unreadable = self.readings.unread_records - unread_before
            is_clean = is_clean and not checked.rejects and not unreadable
            if is_last:
                self.snapshot_progress += len(page.records) + page.known_count
            yield Batch(
                copy.stage(checked.observed, checked.digests),
                len(checked.observed),
                checked.rejects,
                recognised=len(checked.recognised),
                cursor=page.next_cursor if is_last else page.cursor,
                periods=periods,
                moves_cursor=not self.is_import,
                validators=self._validators(page, is_whole=is_last and is_clean),
                snapshot_progress=self.snapshot_progress,
                shapes=counter.take(),
                file=_file_of(page, is_last=is_last),
                begins_snapshot=page.restarts and self.shows_listed,
                page_part=self._part(page, part, is_last, checked),
                unreadable=unreadable,
                reads_anew=page.reads_anew,
            )
            if is_last:
                return

    def _validators(self, page: Page, *, is_whole: bool) -> Mapping[str, str | None]:
        """Return the validator to store with a batch of the page; None removes a stored one.

        Until the last batch is loaded, the stored records come from two responses. The `ETag` of a
        page with rejects or unreadable values is not stored: after a 304 they would not be
        reported again.
        """
        if page.validator_key is None or page.not_modified or self.is_import:
            return {}
        return {page.validator_key: page.validator if is_whole else None}

    def _part(
        self, page: Page, part: int, is_last: bool, checked: CheckedRecords
    ) -> PagePart | None:
        """Return the ids of a batch, if the source's snapshots are used to detect delistings."""
        if not self.shows_listed or page.restarts:
            return None
        name = page.validator_key or json.dumps(page.cursor)
        if page.not_modified:
            return PagePart(name, part, is_last, None)
        return PagePart(name, part, is_last, checked.external_ids())


def _file_of(page: Page, *, is_last: bool) -> FileReading | None:
    """Return the file of a page for one of its batches; only the last batch can end the file."""
    if page.file is None:
        return None
    return replace(page.file, is_end=page.file.is_end and is_last)
