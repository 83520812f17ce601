"""Generated assets as of a time, against a model."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import timedelta

from hypothesis import assume, given
from hypothesis import strategies as st
from sqlalchemy import func, select

from shared.schema.market import assets, listings, observations
from tests.fakes.batches import COINGECKO, COINPAPRIKA, CSV, load
from tests.fakes.databases import empty
from tests.fakes.histories import FEW
from tests.fakes.model import VALUES, Told, unify
from tests.fakes.past import ask
from tests.fakes.reference import follow, plain, slugs
from worker.sources.base import Source

SOURCES: Mapping[str, Source] = {"coingecko": COINGECKO, "coinpaprika": COINPAPRIKA, "csv": CSV}
COINS = (("alpha", "A", "Alpha"), ("beta", "B", "Beta"), ("gamma", "G", "Gamma"))


@st.composite
def told(draw):
    external_id, symbol, name = draw(st.sampled_from(COINS))
    record = Told(
        source=draw(st.sampled_from(tuple(SOURCES))),
        external_id=external_id,
        symbol=symbol,
        name=name,
        minute=draw(st.integers(0, 4000) | st.sampled_from((0, 60))),
        price=draw(st.sampled_from(("1", "1.50", "2", "0.000000012345678901234567890", "null"))),
        cap=draw(st.sampled_from(("1000", "2000.0", "0", "null"))),
        volume=draw(st.sampled_from(("10", "0", "null"))),
        supply=draw(st.sampled_from(("100", "0", "null"))),
    )
    assume(not record.is_refused)
    return record


def load_all(engine, batches):
    """Load one batch after the other; return which record came in when, in this order."""
    came_in = []
    for batch in batches:
        by_source = defaultdict(list)
        for each in batch:
            by_source[each.source].append(each)
        for source, records in by_source.items():
            load(engine, SOURCES[source], *(record.payload for record in records))
            with engine.connect() as conn:
                times = (observations.c.ingested_at, func.upper(observations.c.superseded_before))
                newest = conn.scalar(select(func.greatest(*map(func.max, times))))
            came_in += [(record, newest) for record in records]
    return came_in


def then(came_in, of_asset, as_of, known_at):
    """Work out which assets there were, and how they read, from the records alone."""
    newest = {}
    for record, at in came_in:
        if record.observed_at <= as_of and at <= known_at:
            other = newest.setdefault(record.key, record)
            if record.observed_at >= other.observed_at:
                newest[record.key] = record
    clusters = defaultdict(list)
    for key, record in newest.items():
        clusters[of_asset[key]].append(record)
    return {slug: unify(cluster, {}) for slug, cluster in clusters.items()}


@FEW
@given(
    data=st.data(),
    batches=st.lists(st.lists(told(), min_size=1, max_size=6), min_size=1, max_size=5),
)
def test_every_asset_is_as_it_was_known_to_be(engine, client, data, batches):
    empty(engine)
    came_in = load_all(engine, batches)
    with engine.connect() as conn:
        rows = conn.execute(
            select(listings.c.source, listings.c.external_id, assets.c.slug).join(assets)
        )
        of_asset = {(row.source, row.external_id): row.slug for row in rows}
    observed, loaded = [each.observed_at for each, _ in came_in], sorted(at for _, at in came_in)
    as_of = data.draw(st.sampled_from(observed)) - data.draw(
        st.sampled_from((timedelta(0), timedelta(microseconds=1)))
    )
    known_at = data.draw(st.sampled_from(loaded))

    for moment, known in (({}, loaded[-1]), ({"known_at": known_at.isoformat()}, known_at)):
        found = follow(
            client, as_of=as_of.isoformat(), decimals="string", page_size=2, sort="slug", **moment
        )

        shown = {row["slug"]: row for page in found for row in page["data"]}
        expected = then(came_in, of_asset, as_of, known)
        assert slugs(found) == sorted(expected)
        for slug, asset in expected.items():
            row = shown[slug]
            assert [row[value] for value in VALUES] == [*map(plain, asset.values)]
            assert row["observed_at"] == plain(asset.observed_at)
            assert row["source_count"] == asset.source_count
            detail = ask(
                client, f"/data/{slug}", as_of=as_of.isoformat(), decimals="string", **moment
            )["data"]
            assert {name: detail[name] for name in row} == row
            assert [
                detail["provenance"][value]
                and (
                    detail["provenance"][value]["source"],
                    detail["provenance"][value]["external_id"],
                )
                for value in VALUES
            ] == [*asset.origins]
