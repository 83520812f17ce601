"""`worker identity` and `worker listings`: which listing is which asset, and decisions."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import click
from sqlalchemy import Connection

from shared.model.reviews import commands_of
from shared.settings import Settings
from worker.cli.base import BY, LISTING_SOURCE, Commands, as_json, open_worker
from worker.cli.decisions import DECISIONS, DRY_RUN, REASON, decide
from worker.cli.output import show_json, show_table
from worker.curation import retirements
from worker.curation.review import (
    asset_exists,
    count_pending,
    describe_missing,
    read_asset,
    read_listings,
    read_reviews,
)
from worker.database.engine import reachable

LIMIT = click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Number of rows."
)


@contextmanager
def open_identity(settings: Settings) -> Iterator[Connection]:
    """Apply the crosswalk files, then yield a connection."""
    with open_worker(settings) as worker:
        worker.apply_crosswalk()
        with reachable(), worker.engine.connect() as conn:
            yield conn


@click.group(cls=Commands)
def identity() -> None:
    """Show which listing is which asset, and record decisions.

    Before each of these commands, changes of the crosswalk files in IDENTITY_PATH are applied to
    the database, even if the command only shows something.
    """


@identity.command("list")
@click.option("--asset", metavar="SLUG", help="Show only this asset.")
@click.option("--source", type=LISTING_SOURCE, help="Show only this source.")
@click.option("--method", help="Show only listings linked by this method.")
@LIMIT
@as_json
@click.pass_obj
def identity_list(
    settings: Settings,
    asset: str | None,
    source: str | None,
    method: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show which asset each listing is, by which method and with which score.

    Changes of the crosswalk files are applied first.
    """
    with open_identity(settings) as conn:
        if asset is not None and not asset_exists(conn, asset):
            raise click.ClickException(describe_missing(conn, asset))
        rows = read_listings(conn, asset, source, method, limit)
    if as_json:
        show_json(rows)
        return
    if not rows:
        click.echo("no listings")
        return
    show_table(
        [SimpleNamespace(**_readable(row._asdict())) for row in rows],
        asset="asset",
        source="source",
        external_id="external id",
        symbol="symbol",
        name="name",
        match_method="method",
        match_score="score",
        match_evidence="evidence",
    )


@identity.command("show")
@click.argument("slug")
@as_json
@click.pass_obj
def identity_show(settings: Settings, slug: str, as_json: bool) -> None:
    """Show one asset: its listings side by side, its events and the decisions in force.

    Changes of the crosswalk files are applied first.
    """
    with open_identity(settings) as conn:
        found = read_asset(conn, slug)
        if found is None:
            raise click.ClickException(describe_missing(conn, slug))
    if as_json:
        show_json(found)
        return
    click.echo(f"{slug}: {found['asset']['name']} ({found['asset']['symbol']})")
    members = [row._asdict() for row in found["listings"]]
    pending = sorted({each["source"] for each in members if each["pending"]})
    _show_side_by_side(members, without=frozenset() if pending else {"pending"})
    for source in pending:
        click.echo(f"pending: {_how_to_accept(source)}")
    for title, columns in (
        ("events", _EVENTS),
        ("corrections", _CORRECTIONS),
        ("retirements", _RETIREMENTS),
        ("crosswalk", _CROSSWALK),
    ):
        if found[title]:
            click.echo(f"\n{title}")
            show_table(found[title], **columns)


def _how_to_accept(source: str) -> str:
    return (
        f"in a run of {source} most ids were new, under symbols and names that other ids have. "
        "Identity ignores these ids until the next successful run has them too. If they are "
        f"permanent, accept them with `worker checkpoint clear {source}`"
    )


_EVENTS = {
    "at": "at",
    "source": "source",
    "external_id": "external id",
    "from_asset": "from asset",
    "to_asset": "to asset",
    "method": "method",
    "decision": "decision",
    "decided_by": "by",
    "reason": "reason",
}
_CORRECTIONS = {
    "id": "id",
    "source": "source",
    "external_id": "external id",
    "other_source": "source",
    "other_external_id": "external id of the other",
    "same": "same",
    "decided_by": "by",
    "decided_at": "at",
    "reason": "reason",
}
_RETIREMENTS = {
    "id": "id",
    "source": "source",
    "external_id": "external id",
    "decided_by": "by",
    "decided_at": "at",
    "reason": "reason",
}
_CROSSWALK = {"source": "source", "external_id": "external id", "asset": "crosswalk asset"}


def _readable(listing: dict[str, Any]) -> dict[str, Any]:
    return {**listing, "match_evidence": _format_evidence(listing["match_evidence"]) or None}


def _format_evidence(evidence: Mapping[str, Any]) -> str:
    return "; ".join(f"{aspect}: {value}" for aspect, value in sorted(evidence.items()))


_MATCH_COLUMNS = frozenset({"match_method", "match_score", "match_evidence"})


def _show_side_by_side(
    listings: Sequence[dict[str, Any]], without: Collection[str] = frozenset()
) -> None:
    """Show one column for each listing and one line for each attribute."""
    listings = [_readable(each) for each in listings]
    headings = {f"listing_{n}": f"{each['source']}" for n, each in enumerate(listings)}
    lines = [
        SimpleNamespace(
            label=label.replace("_", " "),
            **{f"listing_{n}": each[label] for n, each in enumerate(listings)},
        )
        for label in listings[0]
        if label not in {"id", "source", *without}
    ]
    show_table(lines, label="", **headings)


@identity.command("review")
@LIMIT
@as_json
@click.pass_obj
def identity_review(settings: Settings, limit: int, as_json: bool) -> None:
    """Show pairs of listings that a person should decide, the largest market cap first.

    Changes of the crosswalk files are applied first.
    """
    with open_identity(settings) as conn:
        reviews = read_reviews(conn, limit)
        pending = count_pending(conn)
    if as_json:
        show_json(reviews)
        return
    if not reviews and not pending:
        click.echo("nothing to review")
    for source, ids in pending.items():
        click.echo(f"{source}: {ids} new ids are pending; {_how_to_accept(source)}\n")
    for review in reviews:
        one, other = review["one"], review["other"]
        why = review["evidence"].get("why", "-")
        state = f"not linked: {why}"
        if review["verdict"] == "linked":
            state = "linked, but prices differ now"
        click.echo(f"{review['method']}, score {review['score']}; {state}")
        _show_side_by_side([one, other], without=_MATCH_COLUMNS)
        evidence = {name: value for name, value in review["evidence"].items() if name != "why"}
        click.echo(f"  {_format_evidence(evidence)}")
        commands = commands_of(one, other)
        click.echo(f"  one coin:  {commands['one_coin']}")
        click.echo(f"  two coins: {commands['two_coins']}\n")


for decision in DECISIONS:
    identity.add_command(decision)


@click.group(cls=Commands)
def listings() -> None:
    """Decide that a source no longer has certain listings."""


@listings.command("retire")
@click.argument("source", type=LISTING_SOURCE)
@click.argument("external_ids", metavar="EXTERNAL_ID…", nargs=-1, required=True)
@REASON
@BY
@DRY_RUN
@click.pass_obj
def retire(
    settings: Settings,
    source: str,
    external_ids: tuple[str, ...],
    reason: str,
    by: str | None,
    dry_run: bool,
) -> None:
    """Mark listings of SOURCE as delisted, for example those of a file that is not updated.

    Their values are no longer current, and their names are not compared with other listings.
    Their history stays. `worker identity undo ID` revokes the decision. CoinPaprika and CoinGecko
    are excluded: their complete snapshots show which listings they have.
    """
    refs = [(source, external_id) for external_id in external_ids]
    decided = decide(settings, reason, by, dry_run, lambda c, s: retirements.retire(c, refs, s))
    one = f"{source}:{external_ids[0]}"
    named = one if decided.listings == 1 else f"{decided.listings} listings of {source}"
    head = "would retire" if dry_run else f"decision {decided.id}: retired"
    click.echo(f"{head} {named}; asset {', '.join(decided.assets)}")
