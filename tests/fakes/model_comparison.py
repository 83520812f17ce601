"""What a database holds, compared with the model of it."""

from collections import Counter

from sqlalchemy import Connection, select

from shared.model.records import value_time
from shared.schema.identity import listing_names, matches
from shared.schema.market import assets, listings, observations
from shared.schema.operations import checkpoints, rejects
from shared.schema.raw import RAW
from tests.fakes.model import VALUES, Asset, Key, Model


def assert_same(conn: Connection, model: Model) -> None:
    for name, raw in RAW.items():
        stored = conn.execute(select(raw.c.external_id, raw.c.observed_at, raw.c.payload_hash))
        assert Counter(
            (row.external_id, row.observed_at, bytes(row.payload_hash)) for row in stored
        ) == Counter(
            (told.external_id, told.observed_at, told.payload_hash)
            for told in model.records
            if told.source == name
        )
    stored = conn.execute(
        select(listings.c.source, listings.c.external_id, observations).join(
            observations, observations.c.listing_id == listings.c.id
        )
    )
    assert Counter(
        (*(row.source, row.external_id, row.observed_at, bytes(row.payload_hash)),
         *(row.superseded_at is None, values(row)))
        for row in stored
    ) == Counter(
        (*told.key, told.observed_at, told.payload_hash,
         model.prevailing[told.key, told.observed_at] == told, told.values)
        for told in model.records
    )  # fmt: skip
    assert read_listings(conn) == {
        key: (told.symbol.strip(), told.name.strip(), told.observed_at, told.payload_hash,
              told.values, len(cluster) > 1, model.delisted().get(told.key))
        for cluster in model.clusters()
        for told in cluster
        for key in (told.key,)
    }  # fmt: skip
    assert read_assets(conn) == model.assets()
    assert_same_identity(conn, model)
    kept = conn.execute(select(rejects.c.source, rejects.c.payload, rejects.c.times_seen))
    assert {(row.source, bytes(row.payload)): row.times_seen for row in kept} == model.refused
    stands = conn.execute(select(checkpoints)).all()
    assert {row.source: row.cursor for row in stands} == model.cursors
    assert {
        row.source: Counter(
            batches=row.batches,
            fetched=row.records_fetched,
            new=row.records_new,
            unchanged=row.records_unchanged,
            rejected=row.records_rejected,
        )
        for row in stands
    } == model.counts


def assert_same_identity(conn: Connection, model: Model) -> None:
    """Compare the matches, the clusters and the names of listings."""
    keys = {row.id: (row.source, row.external_id) for row in conn.execute(select(listings))}
    assert {
        (keys[row.listing_id], keys[row.other_listing_id]): (row.method, row.verdict, row.prices)
        for row in conn.execute(select(matches))
    } == model.matches()
    assert {
        (keys[row.listing_id], row.symbol, row.name): row.first_observed_at
        for row in conn.execute(select(listing_names))
    } == model.names()
    found: dict[int, set[Key]] = {}
    for row in conn.execute(select(listings)):
        found.setdefault(row.asset_id, set()).add(keys[row.id])
    assert {
        frozenset(found[row.id]): {label.lower() for label in row.former_names.splitlines()}
        for row in conn.execute(select(assets))
    } == model.former_names()


def values(row):
    return tuple(getattr(row, name) for name in VALUES)


def read_listings(conn: Connection) -> dict[Key, tuple]:
    return {
        (row.source, row.external_id): (
            *(row.symbol, row.name, row.observed_at, bytes(row.payload_hash)),
            *(values(row), row.match_method != "own", row.delisted_at),
        )
        for row in conn.execute(select(listings))
    }


def read_assets(conn: Connection) -> dict[frozenset[Key], Asset]:
    members: dict[int, set[Key]] = {}
    keys: dict[int | None, Key | None] = {None: None}
    for row in conn.execute(select(listings)):
        keys[row.id] = (row.source, row.external_id)
        members.setdefault(row.asset_id, set()).add((row.source, row.external_id))
    return {
        frozenset(members[row.id]): Asset(
            row.symbol,
            row.name,
            values(row),
            tuple(keys[getattr(row, f"{name}_listing_id")] for name in VALUES),
            tuple(getattr(row, value_time(name)) for name in VALUES),
            row.observed_at,
            row.source_count,
            row.price_spread_percent,
            row.divergent,
            row.active,
            row.delisted_at,
        )
        for row in conn.execute(select(assets))
    }
