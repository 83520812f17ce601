"""Load claims: from raw records of contract lists to `contracts` and to identity."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, TextClause

from shared.schema.raw import RAW_LISTS
from worker.database.locks import lock_identity
from worker.database.statements import read_statements
from worker.identity import store
from worker.ingest.batch import copy
from worker.ingest.batch.reread_raw import claim_raw
from worker.ingest.faults import At, no_fault
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
    conn: Connection, source: str, run_id: int, rows: bytes, at: At = no_fault
) -> tuple[int, list[int]]:
    """Update everything from raw records to contracts.

    Returns the number of new records, and the assets between which listings moved. Unify these
    assets afterwards.
    """
    copy.copy_claims(conn, rows)
    new = conn.execute(
        STATEMENTS[source]["insert_raw"], {"source": source, "run_id": run_id}
    ).scalar_one()
    at("after_raw")
    return new, update_contracts(conn, source, run_id)


def update_contracts(conn: Connection, source: str, run_id: int | None) -> list[int]:
    """Update `contracts` from the source's claims, and identity from `contracts`.

    Returns the assets between which listings moved. The same claims again change nothing.
    """
    statements, parameters = STATEMENTS[source], _parameters(source)
    if not conn.execute(statements["find_changed_contracts"], parameters).rowcount:
        return []
    lock_identity(conn)
    conn.execute(statements["apply_changed_contracts"], parameters)
    if not conn.execute(statements["touch_keys"], parameters).rowcount:
        return []
    return store.resolve(conn, run_id)


def copy_reread(conn: Connection, source: Source, rows: Sequence[Row[Any]]) -> int:
    """Fill `reread_claims` from stored raw records; return the number of readable ones."""
    claimed = claim_raw(source, rows)
    copy.copy_reread_claims(conn, claimed)
    return len(claimed)


def rebuild_claims(conn: Connection, source: str) -> None:
    """Update the stored claims from `reread_claims`."""
    conn.execute(STATEMENTS[source]["rebuild_claims"], {"source": source})


def delete_unfounded_claims(conn: Connection, source: str) -> None:
    conn.execute(STATEMENTS[source]["delete_unfounded_claims"], {"source": source})


def find_differing_contracts(conn: Connection, source: str) -> None:
    """Fill `changed_contracts` with the differences between `contracts` and the claims."""
    conn.execute(STATEMENTS[source]["empty_changed_contracts"])
    conn.execute(STATEMENTS[source]["find_changed_contracts"], _parameters(source))


def list_class(source: str) -> type[ContractList]:
    """Return the class of a list of contracts."""
    source_class = REGISTRY[source]
    assert issubclass(source_class, ContractList)  # noqa: S101 - a source of RAW_LISTS
    return source_class


def _parameters(source: str) -> dict[str, Any]:
    contract_list = list_class(source)
    return {
        "source": source,
        "listed_by": contract_list.listed_by,
        "newest_claim_wins": contract_list.newest_claim_wins,
    }
