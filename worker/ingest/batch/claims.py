"""What the feeds say of the coins' contracts: from raw records to `contracts` and to identity."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, TextClause

from shared.schema.raw import RAW_LISTS
from worker.database.locks import lock_identity
from worker.database.statements import read_statements
from worker.identity import decide
from worker.ingest.batch import copy
from worker.ingest.batch.raw import claim_raw
from worker.ingest.faults import At, go_on
from worker.sources import REGISTRY
from worker.sources.base import Source
from worker.sources.contract_list import ContractList

STATEMENTS: dict[str, dict[str, TextClause]] = {
    source: read_statements(__file__, "claims.sql", raw=table.name, source=source)
    for source, table in RAW_LISTS.items()
}


def create_staging(conn: Connection, source: str) -> None:
    """Create this session's temporary tables of claims; a second call changes nothing."""
    conn.execute(STATEMENTS[source]["create_staging"])


def load_rows(
    conn: Connection, source: str, run_id: int, rows: bytes, at: At = go_on
) -> tuple[int, list[int]]:
    """Bring everything from raw records to contracts up to date.

    Returns how many records were new, and the assets between which listings moved: they are to be
    unified then.
    """
    copy.copy_claims(conn, rows)
    new = conn.execute(
        STATEMENTS[source]["insert_raw"], {"source": source, "run_id": run_id}
    ).scalar_one()
    at("after_raw")
    return new, update_contracts(conn, source, run_id)


def update_contracts(conn: Connection, source: str, run_id: int | None) -> list[int]:
    """Bring `contracts` up to what the source's claims say, and identity up to those.

    Returns the assets between which listings moved. The same claims again change nothing.
    """
    statements, facts = STATEMENTS[source], _facts(source)
    if not conn.execute(statements["find_changed_contracts"], facts).rowcount:
        return []
    lock_identity(conn)
    conn.execute(statements["apply_changed_contracts"], facts)
    if not conn.execute(statements["touch_keys"], facts).rowcount:
        return []
    return decide.resolve(conn, run_id)


def reread(conn: Connection, source: Source, rows: Sequence[Row[Any]]) -> int:
    """Fill `reread_claims` with what stored raw records say; return how many are readable."""
    claimed = claim_raw(source, rows)
    copy.copy_reread_claims(conn, claimed)
    return len(claimed)


def rebuild_claims(conn: Connection, source: str) -> None:
    """Make the claims say what their raw records in `reread_claims` say."""
    conn.execute(STATEMENTS[source]["rebuild_claims"], {"source": source})


def delete_unfounded_claims(conn: Connection, source: str) -> None:
    conn.execute(STATEMENTS[source]["delete_unfounded_claims"], {"source": source})


def find_unsaid_contracts(conn: Connection, source: str) -> None:
    """Fill `changed_contracts` with where `contracts` is not what the claims say; act on none."""
    conn.execute(STATEMENTS[source]["empty_changed_contracts"])
    conn.execute(STATEMENTS[source]["find_changed_contracts"], _facts(source))


def list_of(source: str) -> type[ContractList]:
    """Give the class of a list of contracts."""
    kind = REGISTRY[source]
    assert issubclass(kind, ContractList)  # noqa: S101 - what RAW_LISTS holds
    return kind


def _facts(source: str) -> dict[str, Any]:
    kind = list_of(source)
    return {
        "source": source,
        "listed_by": kind.listed_by,
        "newest_claim_wins": kind.newest_claim_wins,
    }
