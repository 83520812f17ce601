"""Which asset a listing is.

`resolver` says which listings are one; here its answer is put into the tables.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import structlog
from sqlalchemy import Connection, Row

from worker.database.copy import copy_evidence
from worker.database.statements import read_reusable, shared_parts
from worker.identity.blocks.blocks import read_block
from worker.identity.blocks.crowds import delete_index
from worker.identity.pairs import (
    ANEW,
    KEPT,
    Comparisons,
    IdPair,
    create_due_pairs,
    is_unfounded,
)
from worker.identity.resolver import resolver
from worker.identity.resolver.evidence import Candidate, Match, Resolution
from worker.identity.resolver.labels.names import slugify
from worker.identity.resolver.parts.parts import Part

STATEMENTS = read_reusable(__file__, "identity.sql", **shared_parts())

MOST_ROUNDS = 3

log = structlog.get_logger(__name__)


def resolve(conn: Connection, run_id: int | None, *, every: bool = False) -> list[int]:
    """Decide anew for the listings under `touched_keys`; return the assets they moved between.

    Or for `every` listing.

    Under the identity lock only. An asset that is left without a listing is deleted, and every one
    that has no slug yet gets one. The same listings again change nothing.

    Where no pair was compared yet, as after a migration, it decides for every listing: once some
    pairs are there, nothing tells that the others are missing.
    """
    every = every or is_unfounded(conn)
    if every:
        delete_index(conn)  # reading every listing does not keep their keys up to date
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
    _give_slugs(conn)
    return moved


def create_tables(conn: Connection) -> None:
    """Create the temporary tables that a decision uses, unless the session has them."""
    conn.execute(STATEMENTS["create_tables"])
    create_due_pairs(conn)


def decide_on_all(conn: Connection) -> None:
    """Fill `decisions` with what the rule says of every listing, and act on none of it.

    The pairs that it rests on are compared from the beginning, in `pairs_anew`.
    """
    create_tables(conn)
    _decide(conn, ANEW, every=True)


def _resolve_block(
    conn: Connection, table: str, *, every: bool
) -> tuple[Sequence[Candidate], Resolution]:
    """Resolve what hangs together with `touched_keys`, by prices that `table` keeps.

    The pairs that it asks for are then those in the table. Which contradictions most pairs share
    may change with them, and what is to be decided with that. Where that does not settle, the last
    resolution still follows from the pairs as they are kept.
    """
    for rounds in range(MOST_ROUNDS + 1):
        conn.execute(STATEMENTS["empty_tables"])
        block = read_block(conn, every=every)
        comparisons = Comparisons(conn, table)
        parts = resolver.divide(block.candidates, block.rulings, comparisons, block.witnesses)
        resolution = _resolve_parts(parts, comparisons)
        if rounds == MOST_ROUNDS:
            log.error(
                "which contradictions most pairs of a source share did not settle; run "
                "`worker verify` and report what it finds",
                rounds=rounds,
                listings=len(block.candidates),
            )
        elif not comparisons.mark_shared():
            break
    return block.candidates, resolution


def _resolve_parts(parts: Sequence[Part], comparisons: Comparisons) -> Resolution:
    """Resolve each part; once more where it asked for pairs that were not compared yet.

    Where each side has one listing, all are compared: those are known beforehand.
    """
    resolutions: dict[int, Resolution] = {}
    asked: dict[int, set[IdPair]] = {}
    comparisons.add({pair for part in parts for pair in part.certain_pairs()})
    due: Sequence[int] = range(len(parts))
    while due:
        for number in due:
            asked[number] = comparisons.listen()
            resolutions[number] = resolver.resolve_part(parts[number])
        due = [number for number in due if comparisons.lacks(asked[number])]
        comparisons.add({pair for number in due for pair in asked[number]})
    comparisons.delete_all_but({pair for pairs in asked.values() for pair in pairs})
    return resolver.combine(resolutions[number] for number in range(len(parts)))


def _decide(conn: Connection, table: str = KEPT, *, every: bool) -> None:
    """Resolve what hangs together with `touched_keys`; fill `decisions` and `thought`."""
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
    _note_matches(conn, resolution.matches)


def _report_broken_links(conn: Connection) -> None:
    broken = conn.execute(STATEMENTS["find_broken_links"]).all()
    sides = attrgetter("source", "external_id", "other_source", "other_external_id")
    for row in sorted(broken, key=sides):
        log.warning(
            "a link is broken: its listings are assets of their own now",
            listing=f"{row.source}:{row.external_id}",
            other=f"{row.other_source}:{row.other_external_id}",
            method=row.method,
            why=row.why,
        )


def _give_slugs(conn: Connection) -> None:
    """Give each asset that has none yet a slug, in an order that does not depend on arrival.

    One that was gone gets back what it had. Of others, the first that wants a free slug has it.
    """
    nameless = conn.execute(STATEMENTS["find_nameless_assets"]).all()
    if not nameless:
        return
    given: dict[int, str] = {}
    if former := [slug for row in nameless for slug in row.former]:
        again = {"slugs": former, "ids": [row.id for row in nameless if row.former]}
        due = conn.execute(STATEMENTS["find_slugs_to_give_back"], again)
        given.update({row.id: row.slug for row in due})
    wanted = {row.id: _wanted_slugs(row) for row in nameless if row.id not in given}
    every = [slug for slugs in wanted.values() for slug in slugs]
    taken = set(conn.scalars(STATEMENTS["find_taken_slugs"], {"slugs": every}))
    for number, slugs in wanted.items():
        slug = next(each for each in slugs if each not in taken)
        taken.add(slug)
        given[number] = slug
    conn.execute(
        STATEMENTS["give_slugs"],
        {"ids": [row.id for row in nameless], "slugs": [given[row.id] for row in nameless]},
    )


def _wanted_slugs(nameless: Row[Any]) -> list[str]:
    """Make the slugs that an asset would have, the best first; the last is free for certain.

    "~" stands in no slug made from a name. Behind it, digits alone are an asset's id.
    """
    slug = slugify(nameless.named or nameless.name, nameless.external_id)
    own = slugify(nameless.external_id, nameless.source)
    longer = [] if own.isdigit() else [f"{slug}~{own}"]
    return [slug, *longer, f"{slug}~{nameless.source}-{own}", f"{slug}~{nameless.id}"]


def _note_matches(conn: Connection, matches: Sequence[Match]) -> None:
    copy_evidence(
        conn,
        "thought",
        ("listing_id", "other_listing_id", "method", "score", "verdict", "prices"),
        (
            ((m.listing_id, m.other_listing_id, m.method, m.score, m.verdict, m.prices), m.evidence)
            for m in matches
        ),
    )
