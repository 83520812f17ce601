"""Everything that the API shows, a little of each."""

from sqlalchemy import Connection, insert

from shared.model.records import VALUES
from shared.schema.identity import corrections, matches
from shared.schema.operations import rejects
from tests.fakes.api import (
    NOON,
    add_asset,
    add_checkpoint,
    add_listing,
    add_observation,
    add_raw_record,
    add_run,
    take_values_from,
)


def add_everything(conn: Connection) -> None:
    """Insert an asset with every value, one without values, runs, a reject and a checkpoint."""
    add_asset(conn, "unknown")
    asset = add_asset(conn, "bitcoin", observed_at=NOON, **dict.fromkeys(VALUES, 1))
    raw = {"payload_hash": add_raw_record(conn, "csv", "a", '{"row": {"id": "a"}}')}
    listing = add_listing(conn, asset, "csv", "a", **raw, **dict.fromkeys(VALUES, 1))
    take_values_from(conn, asset, **dict.fromkeys(VALUES, listing))
    other = add_listing(conn, asset, "coinpaprika", "b")
    pair = {"listing_id": listing, "other_listing_id": other, "evidence": {"names": "same name"}}
    judged = {"method": "symbol_and_name", "score": 1, "verdict": "review", "prices": "unknown"}
    conn.execute(insert(matches).values(**pair, **judged))
    ids = {"source": "csv", "external_id": "a", "other_source": "csv", "other_external_id": "a"}
    conn.execute(
        insert(corrections).values(**ids, same=True, decided_by="ada", reason="its team says so")
    )
    add_observation(conn, listing, observed_at=NOON, **raw, **dict.fromkeys(VALUES, 1))
    run = add_run(conn)
    add_run(conn, outcome="running")
    conn.execute(
        insert(rejects).values(
            source="csv",
            position="line 7",
            reasons=["price: negative: -1"],
            payload=b"x,-1",
            payload_hash=b"x" * 16,
            first_run_id=run,
            last_run_id=run,
        )
    )
    add_checkpoint(conn, run, cursor={"page": 2}, last_success_at=NOON, last_failure_at=NOON)
