"""Record the ids on the pages of a snapshot, in the batches that load them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from shared.schema.market import snapshot_pages
from worker.database.statements import read_reusable

STATEMENTS = read_reusable(__file__, "snapshot_pages.sql")


@dataclass(frozen=True, slots=True)
class PagePart:
    """The ids in one batch of a page, including rejects; `part` is the number of the batch, from 0.

    `external_ids` is None for a page that was not modified: the recorded ids still apply.
    """

    page: str
    part: int
    is_last: bool
    external_ids: Collection[str] | None


def begin_snapshot(conn: Connection, source: str) -> None:
    """Mark the recorded pages as not yet seen in this snapshot; their ids stay recorded."""
    conn.execute(STATEMENTS["begin_snapshot"], {"source": source})


def note_part(conn: Connection, source: str, part: PagePart) -> None:
    """Record the ids of one batch of a page.

    Raises:
        LookupError: the page was not modified, but its ids are not recorded.
    """
    key = {"source": source, "page": part.page}
    if part.external_ids is None:
        if not conn.execute(STATEMENTS["note_unmodified_page"], key).rowcount:
            raise LookupError(
                f"{source}: page {part.page!r} is not modified, but its ids are not recorded"
            )
        return
    parameters = {**key, "part": part.part, "external_ids": sorted(part.external_ids)}
    conn.execute(STATEMENTS["note_page"], parameters)
    if part.is_last:
        conn.execute(STATEMENTS["delete_further_parts"], {**key, "part": part.part})


def keep_recorded(
    conn: Connection, source: str, validators: Mapping[str, str]
) -> Mapping[str, str]:
    """Keep only the validators of pages whose ids are recorded."""
    pages: Sequence[str] = conn.scalars(
        select(snapshot_pages.c.page).where(snapshot_pages.c.source == source).distinct()
    ).all()
    recorded = set(pages)
    return {page: validator for page, validator in validators.items() if page in recorded}
