"""Checks the invariants of a database, and computes the fingerprint of its content."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, TextClause

from shared.schema.raw import RAW, RAW_LISTS
from worker.database.engine import reachable
from worker.database.statements import read_statements, source_parts
from worker.identity import pairs, renames, store
from worker.identity.former_names import FORMER_NAMES
from worker.ingest.batch import claims, copy, transaction
from worker.ingest.batch.reread_raw import FIRST_KEY, observe_raw, read_raw
from worker.sources.base import Source

SHOWN = 20
"""The number of damaged rows that a check names; all are counted."""

BY_SOURCE = (
    "raw_has_its_hash",
    "raw_has_its_observation",
    "observations_have_their_raw",
    "runs_stored_what_they_counted",
)
BY_LIST = (
    "raw_has_its_hash",
    "runs_stored_what_they_counted",
    "claims_have_their_raw",
    "claims_are_the_newest",
    "contracts_say_what_was_claimed",
)
BY_RAW_LIST = ("claims_say_what_raw_says",)
BY_PART = ("observations_say_what_raw_says", "listings_are_called_what_raw_says")
BY_RAW = (*BY_PART, "names_are_what_raw_says")
OVERALL = (
    "checkpoints_add_up",
    "checkpoints_have_their_run",
    "rejects_are_stored",
    "rejects_are_sound",
    "runs_are_closed",
    "versions_were_drawn",
    "changes_are_recorded",
    "history_is_unbroken",
    "observations_have_listings",
    "one_record_of_an_instant_prevails",
    "listings_show_their_newest",
    "listings_are_delisted_as_recorded",
    "links_follow_the_rule",
    "matches_follow_the_rule",
    "assets_have_listings",
    "assets_show_their_listings",
    "assets_show_what_they_were_called",
)
BY_PAIRS = "pairs_follow_the_rule"


@dataclass(frozen=True, slots=True)
class Finding:
    """A violated invariant: the number of damaged rows, and the first of them."""

    check: str
    count: int
    rows: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """The counts, the findings, and the fingerprint of the content.

    Two databases with the same raw records, observations, listings, assets and rejects have the
    same `fingerprint`. Surrogate ids, slugs, run ids and load times are not part of it.
    """

    counted: Mapping[str, int]
    checks: int
    findings: tuple[Finding, ...]
    fingerprint: str


def verify(engine: Engine, sources: Sequence[Source] = ()) -> Report:
    """Check all rows of the database in one snapshot; change nothing.

    The raw records of the given `sources` are also read again and compared with the stored
    observations.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.
    """
    with (
        reachable(),
        engine.connect().execution_options(isolation_level="REPEATABLE READ") as conn,
        conn.begin() as transaction,
    ):
        for source in RAW:
            conn.execute(_statements(source)["lock_raw"])
        findings: list[Finding] = []
        store.decide_for_all(conn)
        for source in RAW:
            statements = _statements(source)
            for check in BY_SOURCE:
                findings += _find(conn, f"{check} ({source})", statements[check])
        for source in RAW_LISTS:
            findings += _find_in_list(conn, source)
        for check in OVERALL:
            findings += _find(conn, check, statements[check])
        compared = pairs.STATEMENTS[pairs.KEPT_TABLE]
        findings += _find(conn, BY_PAIRS, compared[BY_PAIRS])
        for reader in sources:
            if reader.name in RAW_LISTS:
                findings += _compare_claims(conn, reader)
            else:
                findings += _compare_observations(conn, reader)
        counted, fingerprint = _fingerprint(conn)
        transaction.rollback()
    checks = len(RAW) * len(BY_SOURCE) + len(RAW_LISTS) * len(BY_LIST) + len(OVERALL) + 1
    checks += sum(len(BY_RAW_LIST if one.name in RAW_LISTS else BY_RAW) for one in sources)
    return Report(counted, checks, tuple(findings), fingerprint)


def _statements(source: str) -> dict[str, TextClause]:
    return read_statements(
        __file__,
        "verify.sql",
        source=source,
        former_names=FORMER_NAMES,
        **source_parts(source),
    )


def _find(
    conn: Connection, check: str, statement: TextClause, values: Mapping[str, str] | None = None
) -> list[Finding]:
    rows = conn.execute(statement, values or {}).all()
    shown = tuple(f"{row.what}: {row.why}" for row in rows[:SHOWN])
    return [Finding(check, len(rows), shown)] if rows else []


def _find_in_list(conn: Connection, source: str) -> list[Finding]:
    """Check the claims and contracts of a list of contracts."""
    transaction.create_staging(conn, source)
    claims.find_differing_contracts(conn, source)
    statements = _statements(source) | claims.STATEMENTS[source]
    listed_by = claims.list_class(source).listed_by
    values = {
        "claims_have_their_raw": {"source": source},
        "claims_are_the_newest": {"source": source},
        "contracts_say_what_was_claimed": {"listed_by": listed_by},
    }
    return [
        found
        for check in BY_LIST
        for found in _find(conn, f"{check} ({source})", statements[check], values.get(check))
    ]


def _compare_claims(conn: Connection, source: Source) -> list[Finding]:
    """Read all raw records of a list again, and compare them with the stored claims."""
    statements = claims.STATEMENTS[source.name]
    (check,) = BY_RAW_LIST
    count = 0
    shown: list[str] = []
    rows = read_raw(conn, source.name, FIRST_KEY)
    while rows:
        claims.copy_reread(conn, source, rows)
        for found in _find(conn, check, statements[check], {"source": source.name}):
            count += found.count
            shown += found.rows
        conn.execute(statements["empty_reread_claims"])
        rows = read_raw(conn, source.name, rows[-1])
    return [Finding(f"{check} ({source.name})", count, tuple(shown[:SHOWN]))] if count else []


def _compare_observations(conn: Connection, source: Source) -> list[Finding]:
    """Read all raw records of a source again, and compare them with the stored rows."""
    statements = _statements(source.name)
    counts = dict.fromkeys(BY_RAW, 0)
    shown: dict[str, list[str]] = {check: [] for check in BY_RAW}
    transaction.create_staging(conn, source.name)
    names = renames.RawNames(conn, source.name)
    rows = read_raw(conn, source.name, FIRST_KEY)
    while rows:
        observed = observe_raw(source, rows)
        copy.copy_fresh(conn, observed)
        names.collect(rows, observed)
        for check in BY_PART:
            for found in _find(conn, check, statements[check]):
                counts[check] += found.count
                shown[check] += found.rows
        conn.execute(statements["empty_fresh"])
        rows = read_raw(conn, source.name, rows[-1])
    wrong = names.find_damage()
    counts["names_are_what_raw_says"] = len(wrong)
    shown["names_are_what_raw_says"] = [f"{row.what}: {row.why}" for row in wrong]
    return [
        Finding(f"{check} ({source.name})", counts[check], tuple(shown[check][:SHOWN]))
        for check in BY_RAW
        if counts[check]
    ]


def _fingerprint(conn: Connection) -> tuple[dict[str, int], str]:
    """Count and hash each table, independently of the order of its rows."""
    counted: dict[str, int] = {}
    digest = hashlib.sha256()
    for source in RAW:
        statements = _statements(source)
        counted[RAW[source].name] = _digest(conn, statements["fingerprint_raw"], digest)
    for source in RAW_LISTS:
        of_list = claims.STATEMENTS[source]
        counted[RAW_LISTS[source].name] = _digest(conn, of_list["fingerprint_raw"], digest)
    _digest(conn, of_list["fingerprint_claims"], digest)
    counted["contracts"] = _digest(conn, of_list["fingerprint_contracts"], digest)
    for table in ("matches", "names"):
        _digest(conn, statements[f"fingerprint_{table}"], digest)
    _digest(conn, pairs.STATEMENTS[pairs.KEPT_TABLE]["fingerprint_pairs"], digest)
    for table in ("observations", "listings", "assets", "rejects"):
        counted[table] = _digest(conn, statements[f"fingerprint_{table}"], digest)
    return counted, digest.hexdigest()[:32]


def _digest(conn: Connection, statement: TextClause, digest: "hashlib._Hash") -> int:
    row = conn.execute(statement).one()
    digest.update(f"{row.records} {row.digest}\n".encode())
    return int(row.records)
