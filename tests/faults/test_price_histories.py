"""Glitches, silences and late arrivals: the decision on two listings depends on all records."""

from decimal import Decimal

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from shared.schema.identity import compared_pairs
from shared.schema.market import listings
from tests.fakes.batches import COINGECKO, COINPAPRIKA, CSV, batch, open_run
from tests.fakes.databases import empty
from tests.fakes.model import Model, Told
from tests.fakes.prices import standing
from worker.identity.resolver.corroboration import Standing
from worker.ingest.batch import transaction
from worker.maintenance.reprocess import reprocess
from worker.maintenance.verify import verify

SOURCES = {source.name: source for source in (COINGECKO, COINPAPRIKA, CSV)}
IDS = {"coingecko": "bitcoin", "coinpaprika": "btc-bitcoin", "csv": "desk:bitcoin"}
SILENT, MOVING, WRONG = "silent", "moving", "wrong"


@st.composite
def histories(draw: st.DrawFn) -> list[Told]:
    """Draw some days of three sources: each is right, wrong or silent for hours at a time."""
    told = []
    for source, external_id in IDS.items():
        minute = draw(st.integers(0, 40))
        spells = draw(
            st.lists(
                st.tuples(
                    st.sampled_from((MOVING, MOVING, WRONG, SILENT)),
                    st.integers(1, 8),
                    st.sampled_from((20, 45, 90, 200)),
                ),
                min_size=1,
                max_size=4,
            )
        )
        factor = Decimal(draw(st.sampled_from((1, 1, 1, 3))))
        for mode, times, pace in spells:
            for _ in range(times):
                minute += pace
                price = {MOVING: factor, WRONG: 1000 * factor, SILENT: None}[mode]
                if price:
                    told.append(Told(source, external_id, "BTC", "Bitcoin", minute, str(price)))
        if draw(st.booleans()):
            told.append(Told(source, external_id, "BTC", "Bitcoin", draw(st.integers(0, 900)), "1"))
    return told


def load(engine: Engine, model: Model, source: str, told: list[Told]) -> None:
    with engine.connect() as conn:
        run_id = open_run(conn, SOURCES[source])
        loading = batch(SOURCES[source], *(each.payload for each in told))
        transaction.load_batch(conn, source, run_id, loading)
    model.load(source, told, [], {})


def assert_standings(engine: Engine, model: Model) -> None:
    """Compare each pair that is kept with all that was observed of the two."""
    with engine.connect() as conn:
        keys = {row.id: (row.source, row.external_id) for row in conn.execute(select(listings))}
        rows = conn.execute(select(compared_pairs)).all()
    observed: dict[tuple[str, str], list] = {}
    for told in model.records:
        observed.setdefault(told.key, []).append((told.observed_at, told.values[0]))
    for row in rows:
        if row.verdict == "disputed":
            kept = Standing("agree" if row.agreed_at else "unknown", is_disputed=True)
        else:
            kept = Standing("differ" if row.verdict == "broken" else row.verdict)
        one, other = keys[row.listing_id], keys[row.other_listing_id]
        assert kept == standing(observed[one], observed[other]), (one, other)


@settings(
    max_examples=settings.default.max_examples // 8,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data(), told=histories())
def test_any_order_of_any_history_gives_the_verdicts_of_all_its_records(engine: Engine, data, told):
    empty(engine)
    model = Model()
    order = data.draw(st.permutations(told)) if data.draw(st.booleans()) else told
    while order:
        size = data.draw(st.integers(1, 6))
        of_source = [each for each in order[:size] if each.source == order[0].source]
        order = [each for each in order if each not in of_source]
        load(engine, model, of_source[0].source, of_source)

        assert_standings(engine, model)

    report = verify(engine)
    assert report.findings == ()
    with engine.connect() as conn:
        found = {}
        for row in conn.execute(select(listings)):
            found.setdefault(row.asset_id, set()).add((row.source, row.external_id))
    clusters = {frozenset(each.key for each in cluster) for cluster in model.clusters()}
    assert {frozenset(members) for members in found.values()} == clusters
    reprocess(engine, SOURCES[data.draw(st.sampled_from(sorted({e.source for e in told})))])
    assert verify(engine).fingerprint == report.fingerprint
