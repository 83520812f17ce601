"""Runs of CoinGecko's that are handed their pages, and what Postgres was asked for meanwhile."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event, text

from shared.model.records import Page
from tests.fakes.batches import COINGECKO
from worker.ingest import pipeline
from worker.ingest.runs.options import Options, Result
from worker.sources.base import Source
from worker.sources.coingecko import Coingecko
from worker.sources.json.records import split_records

FORGET = text("UPDATE listings SET received_digest = NULL")


def load_pages(engine: Engine, *pages: Sequence[bytes], **options: Any) -> Result:
    """Load pages of records in one run, as an import of so many saved responses."""

    def read(source: Source) -> Iterator[Page]:
        assert isinstance(source, Coingecko)
        for payloads in pages:
            body = b"[" + b",".join(payloads) + b"]"
            records = split_records(body, source.name, "page 1", source.recognise)
            yield Page(records, None, None)

    return pipeline.load_saved(engine, COINGECKO, read, Options(**options))


def forget(engine: Engine) -> None:
    """Have every record of the next run read, as if none had been received before."""
    with engine.begin() as conn:
        conn.execute(FORGET)


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """Gather the statements that are executed on an engine in a `with` block."""
    executed: list[str] = []

    def gather(conn: Any, cursor: Any, statement: str, given: Any, context: Any, _: bool) -> None:  # noqa: ARG001
        executed.append(getattr(context, "prepared_query", statement))

    event.listen(engine, "before_cursor_execute", gather)
    try:
        yield executed
    finally:
        event.remove(engine, "before_cursor_execute", gather)
