"""`worker identity` and `worker listings`: which listing is which asset, and decisions on it."""

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import click
from sqlalchemy import Connection

from shared.settings import Settings
from worker.cli.base import BY, LISTING_SOURCE, Commands, as_json, open_worker
from worker.cli.decisions import DECISIONS, DRY_RUN, REASON, decide
from worker.cli.show import show_json, show_table
from worker.curation import retirements
from worker.curation import review as looking
from worker.database.engine import reachable

LIMIT = click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many."
)


@contextmanager
def open_identity(settings: Settings) -> Iterator[Connection]:
    """Open a connection to a database that has what the crosswalk's files say."""
    with open_worker(settings) as worker:
        worker.apply_crosswalk()
        with reachable(), worker.engine.connect() as conn:
            yield conn


@click.group(cls=Commands)
def identity() -> None:
    """Show which listing is which asset, and why; and decide it where the rule cannot.

    Each of these commands, those that only show something too, reads the crosswalk's files in
    IDENTITY_PATH at its start. Where they changed, that is applied to the database first.
    """


@identity.command("list")
@click.option("--asset", metavar="SLUG", help="Only this asset.")
@click.option("--source", type=LISTING_SOURCE, help="Only this source.")
@click.option("--method", help="Only listings that are their asset by this method.")
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
    """Show which asset each listing is, by what method, and how sure that is.

    If the crosswalk's files changed, they are applied first.
    """
    with open_identity(settings) as conn:
        if asset is not None and not looking.asset_exists(conn, asset):
            raise _no_asset(asset)
        rows = looking.read_listings(conn, asset, source, method, limit)
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
    """Show one asset: its listings side by side, its events, and the rulings that hold.

    If the crosswalk's files changed, they are applied first.
    """
    with open_identity(settings) as conn:
        found = looking.read_asset(conn, slug)
    if found is None:
        raise _no_asset(slug)
    if as_json:
        show_json(found)
        return
    click.echo(f"{slug}: {found['asset']['name']} ({found['asset']['symbol']})")
    members = [row._asdict() for row in found["listings"]]
    pending = sorted({each["source"] for each in members if each["pending"]})
    _show_side_by_side(members, without=frozenset() if pending else {"pending"})
    for source in pending:
        click.echo(f"pending: {_accepting(source)}")
    for title, columns in (
        ("events", _EVENTS),
        ("corrections", _RULINGS),
        ("retirements", _RETIREMENTS),
        ("crosswalk", _WRITTEN),
    ):
        if found[title]:
            click.echo(f"\n{title}")
            show_table(found[title], **columns)


def _accepting(source: str) -> str:
    return (
        f"a run of {source} found most of its ids new, under symbols and names that other ids "
        "have, and identity leaves them aside. Those that its next good run has are accepted; if "
        f"they are new for good, accept them with `worker checkpoint clear {source}`"
    )


def _no_asset(slug: str) -> click.ClickException:
    return click.ClickException(f"no asset {slug!r}; see `worker identity list`")


_EVENTS = {
    "at": "at",
    "source": "source",
    "external_id": "external id",
    "from_asset_id": "from asset",
    "to_asset_id": "to asset",
    "method": "method",
    "decided_by": "by",
    "reason": "reason",
}
_RULINGS = {
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
_WRITTEN = {"source": "source", "external_id": "external id", "asset": "crosswalk asset"}


def _readable(listing: dict[str, Any]) -> dict[str, Any]:
    """Write a listing's evidence as people read it."""
    return {**listing, "match_evidence": _told(listing["match_evidence"]) or None}


def _told(evidence: Mapping[str, Any]) -> str:
    return "; ".join(f"{aspect}: {said}" for aspect, said in sorted(evidence.items()))


_BY_WHICH = frozenset({"match_method", "match_score", "match_evidence"})


def _show_side_by_side(
    listings: Sequence[dict[str, Any]], without: Collection[str] = frozenset()
) -> None:
    """Show listings as columns, one line for each of what they say."""
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
    """Show the listings that may be one asset, for a person to decide; the largest first.

    If the crosswalk's files changed, they are applied first.
    """
    with open_identity(settings) as conn:
        reviews = looking.read_reviews(conn, limit)
        pending = looking.count_pending(conn)
    if as_json:
        show_json(reviews)
        return
    if not reviews and not pending:
        click.echo("nothing to review")
    for source, ids in pending.items():
        click.echo(f"{source}: {ids} new ids are pending; {_accepting(source)}\n")
    for review in reviews:
        one, other = review["one"], review["other"]
        why = review["evidence"].get("why", "-")
        state = f"not linked: {why}"
        if review["verdict"] == "linked":
            state = "linked, though prices differ now"
        click.echo(f"{review['method']}, score {review['score']}; {state}")
        _show_side_by_side([one, other], without=_BY_WHICH)
        click.echo(f"  {_told({k: v for k, v in review['evidence'].items() if k != 'why'})}")
        mine, its = (shlex.join([each["source"], each["external_id"]]) for each in (one, other))
        click.echo(f"  one coin:  worker identity link {mine} {other['asset']} --reason …")
        click.echo(f"  two coins: worker identity split {mine} --from {its} --reason …\n")


for decision in DECISIONS:
    identity.add_command(decision)


@click.group(cls=Commands)
def listings() -> None:
    """Decide which listings a source lists no more, where no snapshot tells."""


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
    """Decide that SOURCE lists these listings no more, as of a file that will not be updated.

    Their values are then not current, and they are compared with no other listing by name. Their
    history stays. `worker identity undo ID` takes the decision back. Not for CoinPaprika and
    CoinGecko: their whole snapshots tell what they list.
    """
    refs = [(source, external_id) for external_id in external_ids]
    decided = decide(settings, reason, by, dry_run, lambda c, s: retirements.retire(c, refs, s))
    one = f"{source}:{external_ids[0]}"
    named = one if decided.listings == 1 else f"{decided.listings} listings of {source}"
    head = "would retire" if dry_run else f"decision {decided.id}: retired"
    click.echo(f"{head} {named}; asset {', '.join(decided.assets)}")
