"""Detect the end of a paged list, gaps between pages, and pages that repeat.

A page with fewer records than requested does not end a list: a provider may cap its pages, or omit
a record. The list ends with an empty page. It also ends with a page that repeats the short page
before it: some providers ignore page numbers, or reduce them to the last page.
"""

from dataclasses import dataclass, field
from enum import Enum

from shared.model.records import Cursor


class NextStep(Enum):
    """The next step after a page."""

    CONTINUE = "continue"
    END = "end"
    """The page repeats the one before it, which was the last."""
    LOOP = "loop"
    """The page repeats one that was not the last."""
    RESTART = "restart"
    """The pages before the cursor had another size, so records may have been missed."""


@dataclass(slots=True)
class Paging:
    """The pages that one run has read, in order, of `page_size` requested records each."""

    page_size: int | None
    seen: dict[str, int] = field(default_factory=dict)
    """The numbers of the pages, by the digest of their ids."""
    largest: int = 0
    """The number of records on the largest page of this run."""
    expected: int | None = None
    """The number of records on pages before the cursor, until a page of this run confirms it."""
    last: tuple[int, int] | None = None
    """The number of the previous page, and of its records."""
    may_be_misaligned: bool = False
    has_reported: bool = False

    def resume(self, cursor: Cursor | None) -> None:
        """Start at a cursor. If all pages before it were short, its `held` is the largest size."""
        if cursor and self.page_size is not None:
            self.expected = int(cursor.get("held", self.page_size))

    def next_step(self, number: int, count: int, digest: str | None) -> NextStep:
        """Return the next step after a page of `count` records; `digest` is that of their ids."""
        repeated = self.seen.setdefault(digest, number) if digest and count else number
        if repeated != number:
            return NextStep.END if self._was_last(repeated, number, count) else NextStep.LOOP
        if self.expected is not None and self._is_misaligned(count):
            return NextStep.RESTART
        self.largest = max(self.largest, count)
        return NextStep.CONTINUE

    def describe_short_page(self, number: int, count: int) -> str | None:
        """Describe a short page that more records follow; only the first one of a run."""
        previous, self.last = self.last, (number, count)
        if previous is None or not count or self.page_size is None or self.has_reported:
            return None
        short_page, records = previous
        if records >= self.page_size:
            return None
        self.has_reported = True
        return (
            f"page {short_page} has {records} of the {self.page_size} requested records, and page"
            f" {number} has more: the provider caps its pages, or omitted records; reading"
            " continues until an empty page"
        )

    def _is_misaligned(self, count: int) -> bool:
        """Whether this run's pages have another size than those before the cursor.

        A shorter page proves it only if another page with records follows. An empty page counts as
        proof if the earlier pages were short: if pages are larger now, the cursor can be beyond the
        end of the list.
        """
        page_size, expected = self.page_size or 0, self.expected or 0
        if count > expected or (count and self.may_be_misaligned):
            return True
        if not count and expected < page_size and not self.may_be_misaligned:
            return True
        self.may_be_misaligned = count < expected
        if not self.may_be_misaligned:
            self.expected = None
        return False

    def _was_last(self, repeated: int, number: int, count: int) -> bool:
        """Whether the repeated page can be the last one.

        It must be short and directly before this one, and either shorter than another page of this
        run or the only one.
        """
        if self.page_size is None or repeated != number - 1 or count >= self.page_size:
            return False
        return count < self.largest or len(self.seen) == 1


def short_pages_entry(cursor: Cursor | None, page_size: int, count: int) -> dict[str, int]:
    """Return the cursor's `held` after a page: the size of the largest page, if all were short."""
    before = cursor.get("held", page_size) if cursor else 0
    largest = max(before, count)
    return {"held": largest} if largest < page_size else {}
