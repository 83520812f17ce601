"""Which ids the pages of a snapshot hold, recorded with the batches that load them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from shared.schema.market import snapshot_pages
from worker.database.statements import read_reusable

STATEMENTS = read_reusable(__file__, "snapshot_pages.sql")


@dataclass(frozen=True, slots=True)
class PagePart:
    """The ids in one batch of a page, refused records included; `part` counts the batches from 0.

    None of a page that was not modified: it holds what it held.
    """

    page: str
    part: int
    is_last: bool
    external_ids: Collection[str] | None


def begin_snapshot(conn: Connection, source: str) -> None:
    """Forget which pages the snapshot before held; what is on them stays known."""
    conn.execute(STATEMENTS["begin_snapshot"], {"source": source})


def note_part(conn: Connection, source: str, part: PagePart) -> None:
    """Record what a batch holds of its page."""
    key = {"source": source, "page": part.page}
    if part.external_ids is None:
        if not conn.execute(STATEMENTS["note_unmodified_page"], key).rowcount:
            raise LookupError(f"{source}: page {part.page!r} was never read; what does it hold?")
        return
    noted = {**key, "part": part.part, "external_ids": sorted(part.external_ids)}
    conn.execute(STATEMENTS["note_page"], noted)
    if part.is_last:
        conn.execute(STATEMENTS["cut_page"], {**key, "part": part.part})


def keep_known(conn: Connection, source: str, validators: Mapping[str, str]) -> Mapping[str, str]:
    """Leave out the validators of pages of which it is not known what they hold."""
    pages: Sequence[str] = conn.scalars(
        select(snapshot_pages.c.page).where(snapshot_pages.c.source == source).distinct()
    ).all()
    known = set(pages)
    return {page: validator for page, validator in validators.items() if page in known}
