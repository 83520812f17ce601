from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, Engine, create_engine, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from shared.errors import InjectedFailureError
from shared.schema.market import absences
from tests.fakes.batches import COINGECKO, COINPAPRIKA, CSV, batch, open_run
from tests.fakes.databases import empty
from tests.fakes.model import Model, Told
from tests.fakes.model_comparison import assert_same
from worker.ingest.batch import transaction
from worker.ingest.runs import journal
from worker.ingest.snapshots import delisting, snapshot_pages
from worker.ingest.snapshots.delisting import is_judged
from worker.ingest.snapshots.snapshot_pages import PagePart
from worker.maintenance.reprocess import reprocess
from worker.maintenance.verify import verify

SOURCES = {source.name: source for source in (COINGECKO, COINPAPRIKA, CSV)}
POINTS = (
    *("before_copy", "after_raw", "after_listings", "after_observations", "after_assets"),
    *("before_checkpoint", "before_commit", "after_commit"),
)
IDS = {
    "coingecko": ("btc", "eth", "wbtc", "bitcoin"),
    "coinpaprika": ("btc", "eth", "x:btc", "btc-bitcoin"),
    "csv": ("btc", "a:btc", "a:eth", "b:btc"),
}
SYMBOLS = ("btc", "BTC", "\uff42\uff54\uff43", "eth", "")
NAMES = ("Bitcoin", " bitcoin ", "Bit  Coin", "BIT\u00a0COIN", "Ether", "Wrapped Bitcoin")
MINUTES = (0, 1, 59, 60, 61, 120, 4320)
PRICES = (
    "1",
    "1.50",
    "1.5",
    "1.1",
    "1.04",
    "1.01",
    "0",
    "null",
    "8.69e-05",
    "3",
    "32797.104559839122",
)
REFUSED = (
    b'{"id": "btc"}',
    b"[1]",
    b'{"id": "btc", "name": "\\u0000"}',
    b'{"price": NaN}',
    b'{ "id": "btc" }',
)

PLANNER = (
    *("hashjoin", "mergejoin", "nestloop", "material", "memoize", "hashagg", "sort"),
    *("incremental_sort", "seqscan", "indexscan", "indexonlyscan", "bitmapscan"),
)

usual = st.sampled_from(("1000", "null", "0", "9007199254740993"))
seldom = st.sampled_from((0, 0, 0, 1, 2, 3))


def records(source: str) -> st.SearchStrategy[Told]:
    """Records of a small world, in which ids, names and instants meet again and again."""
    return st.builds(
        Told,
        source=st.just(source),
        external_id=st.sampled_from(IDS[source]),
        symbol=st.sampled_from(SYMBOLS),
        name=st.sampled_from(NAMES),
        minute=st.sampled_from(MINUTES),
        price=st.sampled_from(PRICES),
        cap=usual,
        volume=st.sampled_from(("10", "0", "null")),
        supply=usual,
        spelling=seldom,
    ).filter(lambda record: not record.is_refused)


sources = st.sampled_from(sorted(SOURCES))
snapshot_sources = st.sampled_from([name for name in sorted(SOURCES) if is_judged(name)])


@pytest.fixture(scope="module")
def world(server, maintenance_engine, template_database) -> Iterator[Engine]:
    """A database for all generated histories; each empties it."""
    with maintenance_engine.connect() as conn:
        conn.execute(text(f"CREATE DATABASE model TEMPLATE {template_database}"))
    engine = create_engine(server.url.set(database="model"), poolclass=NullPool)
    yield engine
    engine.dispose()
    with maintenance_engine.connect() as conn:
        conn.execute(text("DROP DATABASE model WITH (FORCE)"))


def cut(engine: Engine, pid: int) -> None:
    """End a session from the server's side, and wait until it is gone."""
    with engine.connect() as conn:
        assert conn.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": pid}).scalar()


class Loading(RuleBasedStateMachine):
    """Batches, crashes and rebuilds in any order, beside the model."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        self.model = Model()
        self.loaded: dict[str, list[Told]] = {name: [] for name in SOURCES}
        self.sessions: dict[str, tuple[Connection, int]] = {}
        self.batches = 0
        self.now = datetime(2025, 3, 2, tzinfo=UTC)
        empty(engine)

    def session(self, source: str) -> tuple[Connection, int]:
        """A run of the source, open until its connection is lost."""
        if source not in self.sessions:
            conn = self.engine.connect()
            self.sessions[source] = conn, open_run(conn, SOURCES[source])
        return self.sessions[source]

    def lose(self, source: str) -> None:
        conn, _ = self.sessions.pop(source)
        conn.close()

    def load(self, source, told, refused, point=None, is_cut=False, page_part=None) -> None:
        """Load one batch; at `point` it fails, or its connection is lost."""
        conn, run_id = self.session(source)
        self.batches += 1
        cursor = {"batch": self.batches}
        payloads = [*(each.payload for each in told), *refused]
        loading = batch(SOURCES[source], *payloads, cursor=cursor, page_part=page_part)
        assert (loading.observed, len(loading.rejects)) == (len(told), len(refused))

        pid = conn.connection.dbapi_connection.info.backend_pid

        def at(reached: str) -> None:
            if reached == point and is_cut:
                cut(self.engine, pid)
            elif reached == point:
                raise InjectedFailureError(point)

        try:
            transaction.load_batch(conn, source, run_id, loading, at)
        except (InjectedFailureError, DBAPIError):
            assert point is not None
            self.lose(source)
            if point != "after_commit":
                return
        else:
            if is_cut:
                self.lose(source)
        self.model.load(source, told, refused, cursor)
        self.loaded[source] += told

    @rule(data=st.data(), source=sources)
    def load_batches(self, data, source):
        """Load what a page holds, cut into batches."""
        told = data.draw(st.lists(records(source), max_size=8))
        refused = data.draw(st.lists(st.sampled_from(REFUSED), max_size=2))
        size = data.draw(st.integers(1, 8))
        self.load(source, told[:size], refused)
        if told[size:]:
            self.load(source, told[size:], [])

    @rule(data=st.data(), source=sources, point=st.sampled_from(POINTS), is_cut=st.booleans())
    def load_and_break(self, data, source, point, is_cut):
        """Break a batch off; half of the time it is loaded again, as the next run would."""
        told = data.draw(st.lists(records(source), min_size=1, max_size=6))
        refused = data.draw(st.lists(st.sampled_from(REFUSED), max_size=1))
        self.load(source, told, refused, point, is_cut)
        if data.draw(st.booleans()):
            self.load(source, told, refused)

    @rule(data=st.data(), source=snapshot_sources, hours=st.sampled_from((1, 3, 7)))
    def read_snapshot(self, data, source, hours):
        """Read the whole market, of which some listings are missing; half of the time twice."""
        told = data.draw(st.lists(records(source), max_size=3))
        seen = {each.external_id for each in told} | data.draw(
            st.sets(st.sampled_from(IDS[source]))
        )
        self.now += timedelta(hours=hours)
        breaks_off = data.draw(st.booleans())
        for is_read in (False, True) if breaks_off else (True,):
            conn, _ = self.session(source)
            with conn.begin():
                snapshot_pages.begin_snapshot(conn, source)
            self.load(source, told, [], page_part=PagePart("all", 0, True, seen))
            with conn.begin() as transaction:
                delisting.end_snapshot(conn, source, self.now)
                if not is_read:
                    transaction.rollback()
        self.model.end_snapshot(source, seen, self.now)

    @rule(source=sources, left_out=st.sets(st.sampled_from(PLANNER)), is_analyzed=st.booleans())
    def plan_otherwise(self, source, left_out, is_analyzed):
        """Let Postgres choose other plans in a session, which must not change any result.

        ANALYZE here also counts the session's own tables, which are empty between batches.
        """
        conn, _ = self.session(source)
        for name in PLANNER:
            conn.exec_driver_sql(f"SET enable_{name} = {'off' if name in left_out else 'on'}")
        conn.exec_driver_sql("DISCARD PLANS")
        if is_analyzed:
            conn.exec_driver_sql("ANALYZE")
        conn.commit()

    @precondition(lambda self: any(self.loaded.values()))
    @rule(data=st.data())
    def load_again(self, data):
        """Load some of what is known in another order and spelling, and clear the checkpoint."""
        source = data.draw(st.sampled_from([name for name in SOURCES if self.loaded[name]]))
        told = data.draw(st.lists(st.sampled_from(self.loaded[source]), max_size=6))
        if journal.clear_checkpoint(self.engine, source):
            self.model.cursors[source] = None
        self.load(source, told, [])

    @precondition(lambda self: any(self.loaded.values()))
    @rule(data=st.data())
    def rebuild(self, data):
        """Reprocess from raw: nothing may change."""
        source = data.draw(st.sampled_from([name for name in SOURCES if self.loaded[name]]))
        reprocess(self.engine, SOURCES[source])

    def teardown(self):
        """Compare what is stored with the model, and with one load of all in order."""
        for source in tuple(self.sessions):
            self.lose(source)
        with self.engine.connect() as conn:
            assert_same(conn, self.model)
            spells = [row._asdict() for row in conn.execute(select(absences))]
        report = verify(self.engine, tuple(SOURCES.values()))
        assert report.findings == ()

        def prevails(each: Told) -> bool:
            return self.model.prevailing[each.key, each.observed_at] == each

        empty(self.engine)
        for name in sorted(SOURCES):
            told = sorted(
                (each for each in self.model.records if each.source == name),
                key=lambda each: (each.external_id, each.minute, prevails(each), each.payload),
            )
            refused = sorted(payload for source, payload in self.model.refused if source == name)
            self.load(name, told, refused)
        for source in tuple(self.sessions):
            self.lose(source)
        with self.engine.begin() as conn:
            if spells:
                conn.execute(insert(absences), spells)
            for name in SOURCES:
                delisting.mark_listings(conn, name)
        assert verify(self.engine).fingerprint == report.fingerprint


@pytest.mark.property
def test_any_history_of_batches_crashes_and_rebuilds_leaves_what_the_records_say(world: Engine):
    is_random = settings.get_current_profile_name() == "random"
    # To make a failure small takes minutes, more than a test is given.
    phases = [Phase.generate, Phase.shrink] if is_random else [Phase.generate]
    examples = settings.default.max_examples // 5

    run_state_machine_as_test(
        lambda: Loading(world),
        settings=settings(max_examples=examples, stateful_step_count=12, phases=phases),
    )
