"""What the pages of one run tell of how a provider pages: whether there are more, and gaps.

A page that is shorter than asked for does not end a list: a provider may cap pages, or leave a
record out of one. An empty page does, and one that repeats the short page before it, as providers
answer that ignore page numbers or clamp them to the last.
"""

from dataclasses import dataclass, field
from enum import Enum

from shared.model.records import Cursor


class Step(Enum):
    """What follows a page."""

    GO_ON = "go on"
    END = "end"
    """The page repeats the one before it, which was the last."""
    LOOP = "loop"
    """The page repeats one that was not the last."""
    RESTART = "restart"
    """Pages have another size than those that the cursor was counted in; a gap is possible."""


@dataclass(slots=True)
class Walk:
    """The pages that one run saw, in order. `asked` is how many records a page should hold."""

    asked: int | None
    seen: dict[str, int] = field(default_factory=dict)
    largest: int = 0
    expected: int | None = None
    """How many records the first page of a run that goes on should hold; None once it was seen."""
    last: tuple[int, int] | None = None
    """Number and records of the page before."""
    may_be_misaligned: bool = False
    has_noticed: bool = False

    def resume(self, cursor: Cursor | None) -> None:
        """Begin at a cursor; its `held` is the largest page before it, where all were short."""
        if cursor and self.asked is not None:
            self.expected = int(cursor.get("held", self.asked))

    def step(self, number: int, count: int, digest: str | None) -> Step:
        """Say what follows a page with this number, so many records, and a digest of their ids."""
        repeated = self.seen.setdefault(digest, number) if digest and count else number
        if repeated != number:
            return Step.END if self._was_last(repeated, number, count) else Step.LOOP
        if self.expected is not None and self._is_misaligned(count):
            return Step.RESTART
        self.largest = max(self.largest, count)
        return Step.GO_ON

    def notice(self, number: int, count: int) -> str | None:
        """Say once that a page was shorter than asked for, where this one shows more records."""
        before, self.last = self.last, (number, count)
        if before is None or not count or self.asked is None or self.has_noticed:
            return None
        earlier, held = before
        if held >= self.asked:
            return None
        self.has_noticed = True
        return (
            f"page {earlier} held {held} of the {self.asked} records asked for, and page {number}"
            " has more: the provider caps its pages, or left records out; read on until an empty"
            " page"
        )

    def _is_misaligned(self, count: int) -> bool:
        """Whether pages are shown to have another size than those before the cursor.

        A shorter page shows that only once more follows it. None at all may lie before the end of
        larger pages.
        """
        asked, expected = self.asked or 0, self.expected or 0
        if count > expected or (count and self.may_be_misaligned):
            return True
        if not count and expected < asked and not self.may_be_misaligned:
            return True
        self.may_be_misaligned = count < expected
        if not self.may_be_misaligned:
            self.expected = None
        return False

    def _was_last(self, repeated: int, number: int, count: int) -> bool:
        """Whether the page that is repeated can be the last: a short one, just before this one.

        It is shorter than another of this run, or the only one.
        """
        if self.asked is None or repeated != number - 1 or count >= self.asked:
            return False
        return count < self.largest or len(self.seen) == 1


def held(cursor: Cursor | None, asked: int, count: int) -> dict[str, int]:
    """Note in the cursor after a page how large the largest so far was, while all are short."""
    before = cursor.get("held", asked) if cursor else 0
    largest = max(before, count)
    return {"held": largest} if largest < asked else {}
