"""Whether records are recognised or read makes no difference to what a run counts and leaves."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from shared.schema.market import snapshot_pages
from shared.schema.operations import runs, shapes
from tests.fakes.batches import market
from tests.fakes.databases import database_copy, empty, engine_on
from tests.fakes.snapshots import forget, load_pages
from worker.maintenance.verify import verify

IDS = ("btc", "eth", " btc")
MINUTES = ("2026-01-02T12:00:00Z", "2026-01-02T12:05:00Z")
ODD = (b'{"id": "btc"}', b"[1]", b'{"price": NaN}', b'{"id": "eth", "last_updated": 1e400}')

COUNTED = [column for column in runs.c if column.name.startswith(("records_", "prices_", "ids_"))]


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """Records of so small a world that the same bytes come again and again."""
    external_id = draw(st.sampled_from(IDS))
    price = draw(st.sampled_from(("1", "1.0", "3")))
    odd = draw(st.sampled_from(({}, {}, {}, {"max_supply": "many"}, {"note": None})))
    record = market(external_id, "s", external_id.upper(), price, draw(minutes), **odd)
    return draw(st.sampled_from((record, record, record.replace(b": ", b":"))))


minutes = st.sampled_from(MINUTES)
pages = st.lists(st.one_of(*[records()] * 9, st.sampled_from(ODD)), max_size=6)
several_runs = st.lists(st.lists(pages, max_size=3), min_size=2, max_size=4)


@pytest.fixture(scope="module")
def twins(server, maintenance_engine, template_database) -> Iterator[tuple[Engine, Engine]]:
    """Two databases; each example empties them."""
    with (
        database_copy(maintenance_engine, server.url, template_database) as one,
        database_copy(maintenance_engine, server.url, template_database) as other,
        engine_on(one) as recognising,
        engine_on(other) as reading,
    ):
        yield recognising, reading


# Each example loads its runs twice.
@settings(max_examples=settings.default.max_examples // 5)
@given(told=several_runs, batch_size=st.integers(1, 4))
def test_runs_that_recognise_records_count_and_leave_what_runs_that_read_all_do(
    twins: tuple[Engine, Engine], told: list[list[list[bytes]]], batch_size: int
):
    recognising, reading = twins
    for engine in twins:
        empty(engine)

    for received in told:
        forget(reading)
        for engine in twins:
            load_pages(engine, *received, batch_size=batch_size)

    assert content(recognising) == content(reading)


def content(engine: Engine) -> tuple[object, ...]:
    report = verify(engine)
    assert report.findings == ()
    kept = [shapes.c.path, shapes.c.type, shapes.c.records, shapes.c.last_run_records]
    with engine.connect() as conn:
        counted = conn.execute(select(*COUNTED).order_by(runs.c.id)).all()
        shown = conn.execute(select(snapshot_pages)).all()
        found = conn.execute(select(*kept).order_by(*kept)).all()
    return report.fingerprint, counted, shown, found
