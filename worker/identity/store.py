"""Runs the resolver, and stores what it decides: assets, their listings and slugs, matches.

`resolver/resolver.py` decides; `identity.sql` has the statements.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import structlog
from sqlalchemy import Connection, Row

from shared.model.slugs import slugify
from worker.database.copy import copy_evidence
from worker.database.statements import read_reusable, shared_parts
from worker.identity.blocks.blocks import read_block
from worker.identity.blocks.crowds import delete_index
from worker.identity.pairs import (
    KEPT_TABLE,
    RECOMPUTED_TABLE,
    Comparisons,
    IdPair,
    create_due_pairs,
    must_compare_all_pairs,
)
from worker.identity.resolver import resolver
from worker.identity.resolver.evidence import Candidate, Match, Resolution
from worker.identity.resolver.parts.parts import Part

STATEMENTS = read_reusable(__file__, "identity.sql", **shared_parts())

MOST_ROUNDS = 3

log = structlog.get_logger(__name__)


def resolve(conn: Connection, run_id: int | None, *, every: bool = False) -> list[int]:
    """Decide for the listings under `touched_keys`, or for `every` listing.

    Returns the assets between which listings moved. Requires the identity lock. Assets without
    listings are deleted, and assets without a slug get one. A second call changes nothing.

    If all pairs must be compared from the start, as after a migration, it decides for all listings.
    Otherwise the first pairs to be stored would hide that the others are missing.
    """
    every = every or must_compare_all_pairs(conn)
    if every:
        delete_index(conn)  # it is only updated for blocks of touched listings
    _decide(conn, every=every)
    _report_broken_links(conn)
    conn.execute(STATEMENTS["delete_matches"])
    conn.execute(STATEMENTS["upsert_matches"])
    conn.execute(STATEMENTS["number_new_assets"])
    conn.execute(STATEMENTS["insert_new_assets"])
    conn.execute(STATEMENTS["record_events"], {"run_id": run_id})
    conn.execute(STATEMENTS["move_listings"])
    moved = list(conn.scalars(STATEMENTS["find_moved_assets"]))
    conn.execute(STATEMENTS["delete_left_assets"])
    _assign_slugs(conn)
    return moved


def create_tables(conn: Connection) -> None:
    """Create the temporary tables that a decision uses, unless the session has them."""
    conn.execute(STATEMENTS["create_tables"])
    create_due_pairs(conn)


def decide_for_all(conn: Connection) -> None:
    """Fill `decisions` for all listings, without applying them.

    All pairs are compared again from the observations, in `recomputed_pairs`.
    """
    create_tables(conn)
    _decide(conn, RECOMPUTED_TABLE, every=True)


def _resolve_block(
    conn: Connection, table: str, *, every: bool
) -> tuple[Sequence[Candidate], Resolution]:
    """Resolve the listings under `touched_keys` and all connected ones, with prices from `table`.

    Afterwards the table holds exactly the pairs that the resolver asked for. New pairs can change
    which contradictions most pairs of a source share, and thereby the result, so it is repeated
    until that is stable. After `MOST_ROUNDS` the last result, which follows from the table, is
    used.
    """
    for rounds in range(MOST_ROUNDS + 1):
        conn.execute(STATEMENTS["empty_tables"])
        block = read_block(conn, every=every)
        comparisons = Comparisons(conn, table)
        parts = resolver.divide(block.candidates, block.rulings, comparisons, block.witnesses)
        resolution = _resolve_parts(parts, comparisons)
        if rounds == MOST_ROUNDS:
            log.error(
                "shared contradictions not stable; run `worker verify` and report its findings",
                rounds=rounds,
                listings=len(block.candidates),
            )
        elif not comparisons.mark_shared():
            break
    return block.candidates, resolution


def _resolve_parts(parts: Sequence[Part], comparisons: Comparisons) -> Resolution:
    """Resolve each part, again if it asked for pairs that were not compared yet.

    Pairs that are certain to be asked for are compared first.
    """
    resolutions: dict[int, Resolution] = {}
    asked: dict[int, set[IdPair]] = {}
    comparisons.add({pair for part in parts for pair in part.certain_pairs()})
    due: Sequence[int] = range(len(parts))
    while due:
        for number in due:
            asked[number] = comparisons.start_recording()
            resolutions[number] = resolver.resolve_part(parts[number])
        due = [number for number in due if comparisons.lacks(asked[number])]
        comparisons.add({pair for number in due for pair in asked[number]})
    comparisons.keep_only({pair for pairs in asked.values() for pair in pairs})
    return resolver.combine(resolutions[number] for number in range(len(parts)))


def _decide(conn: Connection, table: str = KEPT_TABLE, *, every: bool) -> None:
    """Fill `decisions` and `new_matches` for the block."""
    candidates, resolution = _resolve_block(conn, table, every=every)
    strongest: dict[int, Match] = {}
    linked = [match for match in resolution.matches if match.verdict == "linked"]
    refs = {candidate.listing_id: candidate.ref for candidate in candidates}
    for match in sorted(
        linked, key=lambda m: (-m.score, refs[m.listing_id], refs[m.other_listing_id])
    ):
        strongest.setdefault(match.listing_id, match)
        strongest.setdefault(match.other_listing_id, match)
    rows = [
        (number, f"cluster {n}", strongest.get(number))
        for n, cluster in enumerate(resolution.clusters)
        for number in sorted(cluster)
    ]
    copy_evidence(
        conn,
        "resolved",
        ("listing_id", "cluster", "method", "score"),
        (
            ((number, cluster, match.method, match.score), match.evidence)
            if match
            else ((number, cluster, "own", 1), {})
            for number, cluster, match in rows
        ),
    )
    conn.execute(STATEMENTS["settle"])
    _copy_matches(conn, resolution.matches)


def _report_broken_links(conn: Connection) -> None:
    broken = conn.execute(STATEMENTS["find_broken_links"]).all()
    sides = attrgetter("source", "external_id", "other_source", "other_external_id")
    for row in sorted(broken, key=sides):
        log.warning(
            "link broken: its listings are now separate assets",
            listing=f"{row.source}:{row.external_id}",
            other=f"{row.other_source}:{row.other_external_id}",
            method=row.method,
            why=row.why,
        )


def _assign_slugs(conn: Connection) -> None:
    """Assign slugs to new assets, in an order that does not depend on the order of loading.

    Listings of a removed asset get its slug back. Otherwise the first asset gets a free slug.
    """
    unnamed = conn.execute(STATEMENTS["find_unnamed_assets"]).all()
    if not unnamed:
        return
    assigned: dict[int, str] = {}
    if former := [slug for row in unnamed for slug in row.former]:
        asked = {"slugs": former, "ids": [row.id for row in unnamed if row.former]}
        due = conn.execute(STATEMENTS["find_slugs_to_restore"], asked)
        assigned.update({row.id: row.slug for row in due})
    possible = {row.id: _possible_slugs(row) for row in unnamed if row.id not in assigned}
    every = [slug for slugs in possible.values() for slug in slugs]
    taken = set(conn.scalars(STATEMENTS["find_taken_slugs"], {"slugs": every}))
    for number, slugs in possible.items():
        slug = next(each for each in slugs if each not in taken)
        taken.add(slug)
        assigned[number] = slug
    conn.execute(
        STATEMENTS["assign_slugs"],
        {"ids": [row.id for row in unnamed], "slugs": [assigned[row.id] for row in unnamed]},
    )


def _possible_slugs(unnamed: Row[Any]) -> list[str]:
    """Return the possible slugs of an asset, the best first. The last one is always free.

    A slug derived from a name contains no "~". Digits alone after it are an asset's id.
    """
    slug = slugify(unnamed.named or unnamed.name, unnamed.external_id)
    own = slugify(unnamed.external_id, unnamed.source)
    longer = [] if own.isdigit() else [f"{slug}~{own}"]
    return [slug, *longer, f"{slug}~{unnamed.source}-{own}", f"{slug}~{unnamed.id}"]


def _copy_matches(conn: Connection, matches: Sequence[Match]) -> None:
    copy_evidence(
        conn,
        "new_matches",
        ("listing_id", "other_listing_id", "method", "score", "verdict", "prices"),
        (
            ((m.listing_id, m.other_listing_id, m.method, m.score, m.verdict, m.prices), m.evidence)
            for m in matches
        ),
    )
