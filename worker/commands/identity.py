"""`worker identity`: which listing is which asset, why, and corrections that last."""

import getpass
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import click
from sqlalchemy import Connection

from shared.db import reachable
from shared.settings import Settings
from worker.commands.base import SOURCE, Commands, as_json, open_worker
from worker.identity import corrections, looking
from worker.identity.recording import Decided, Signed
from worker.show import show_json, show_table

LIMIT = click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many."
)
REASON = click.option("--reason", required=True, help="Why; it is kept with the decision.")
BY = click.option("--by", metavar="NAME", help="Who decides.  [default: the login name]")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what would be, and change nothing.")


@contextmanager
def open_identity(settings: Settings) -> Iterator[Connection]:
    """Open a connection to a database that has what the crosswalk's files say."""
    with open_worker(settings) as worker:
        worker.apply_crosswalk()
        with reachable(), worker.engine.connect() as conn:
            yield conn


@click.group(cls=Commands)
def identity() -> None:
    """Show which listing is which asset, and why; and decide it where the rule cannot."""


@identity.command("list")
@click.option("--asset", metavar="SLUG", help="Only this asset.")
@click.option("--source", type=SOURCE, help="Only this source.")
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
    """Show which asset each listing is, by what method, and how sure that is."""
    with open_identity(settings) as conn:
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
    """Show one asset: its listings side by side, its events, and the rulings that hold."""
    with open_identity(settings) as conn:
        found = looking.read_asset(conn, slug)
    if found is None:
        raise click.ClickException(f"no asset {slug!r}; see `worker identity list`")
    if as_json:
        show_json(found)
        return
    click.echo(f"{slug}: {found['asset']['name']} ({found['asset']['symbol']})")
    _show_side_by_side([row._asdict() for row in found["listings"]])
    for title, columns in (("events", _EVENTS), ("corrections", _RULINGS), ("crosswalk", _WRITTEN)):
        if found[title]:
            click.echo(f"\n{title}")
            show_table(found[title], **columns)


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
_WRITTEN = {"source": "source", "external_id": "external id", "asset": "crosswalk asset"}


def _readable(listing: dict[str, Any]) -> dict[str, Any]:
    """Write a listing's evidence as people read it."""
    evidence = listing["match_evidence"]
    told = "; ".join(f"{aspect}: {said}" for aspect, said in sorted(evidence.items()))
    return {**listing, "match_evidence": told or None}


def _show_side_by_side(listings: list[dict[str, Any]]) -> None:
    """Show listings as columns, one line for each of what they say."""
    listings = [_readable(each) for each in listings]
    headings = {f"listing_{n}": f"{each['source']}" for n, each in enumerate(listings)}
    lines = [
        SimpleNamespace(
            label=label.replace("_", " "),
            **{f"listing_{n}": each[label] for n, each in enumerate(listings)},
        )
        for label in listings[0]
        if label not in {"id", "source"}
    ]
    show_table(lines, label="", **headings)


@identity.command("review")
@LIMIT
@as_json
@click.pass_obj
def identity_review(settings: Settings, limit: int, as_json: bool) -> None:
    """Show the listings that may be one asset, for a person to decide; the largest first."""
    with open_identity(settings) as conn:
        reviews = looking.read_reviews(conn, limit)
    if as_json:
        show_json(reviews)
        return
    if not reviews:
        click.echo("nothing to review")
    for review in reviews:
        one, other = review["one"], review["other"]
        why = review["evidence"].get("why", "-")
        click.echo(f"{review['method']}, score {review['score']}; not linked: {why}")
        _show_side_by_side([one, other])
        mine, its = (shlex.join([each["source"], each["external_id"]]) for each in (one, other))
        click.echo(f"  one coin:  worker identity link {mine} {other['asset']} --reason …")
        click.echo(f"  two coins: worker identity split {mine} --from {its} --reason …\n")


@identity.command("link")
@click.argument("source", type=SOURCE)
@click.argument("external_id")
@click.argument("asset", metavar="ASSET")
@REASON
@BY
@DRY_RUN
@click.pass_obj
def identity_link(  # noqa: PLR0913, PLR0917 -- one for each argument
    settings: Settings,
    source: str,
    external_id: str,
    asset: str,
    reason: str,
    by: str | None,
    dry_run: bool,
) -> None:
    """Decide that a listing, by its SOURCE and EXTERNAL_ID, is the asset with the slug ASSET."""
    ref = (source, external_id)
    decided = _decide(
        settings, reason, by, dry_run, lambda c, s: corrections.link(c, ref, asset, s)
    )
    _tell(f"{source}:{external_id} is {asset}", decided, dry_run=dry_run)


@identity.command("split")
@click.argument("source", type=SOURCE)
@click.argument("external_id")
@click.option(
    "--from",
    "other",
    type=(SOURCE, str),
    metavar="SOURCE EXTERNAL_ID",
    help="Only from this listing, which it may not be one with yet: so a review is rejected.",
)
@REASON
@BY
@DRY_RUN
@click.pass_obj
def identity_split(  # noqa: PLR0913, PLR0917 -- one for each argument
    settings: Settings,
    source: str,
    external_id: str,
    other: tuple[str, str] | None,
    reason: str,
    by: str | None,
    dry_run: bool,
) -> None:
    """Decide that a listing is not the coin of the other listings of its asset, as they are now."""
    ref = (source, external_id)
    decided = _decide(
        settings, reason, by, dry_run, lambda c, s: corrections.split(c, ref, other, s)
    )
    told = "what it was one with" if other is None else ":".join(other)
    _tell(f"{source}:{external_id} is not {told}", decided, dry_run=dry_run)


@identity.command("merge")
@click.argument("slug")
@click.argument("into", metavar="INTO_SLUG")
@REASON
@BY
@DRY_RUN
@click.pass_obj
def identity_merge(
    settings: Settings, slug: str, into: str, reason: str, by: str | None, dry_run: bool
) -> None:
    """Decide that the asset SLUG is the asset INTO_SLUG, whose slug stays."""
    decided = _decide(
        settings, reason, by, dry_run, lambda c, s: corrections.merge(c, slug, into, s)
    )
    _tell(f"{slug} is {into}", decided, dry_run=dry_run)


@identity.command("undo")
@click.argument("correction_id", metavar="ID", type=click.IntRange(1, 2**31 - 1))
@REASON
@BY
@DRY_RUN
@click.pass_obj
def identity_undo(
    settings: Settings, correction_id: int, reason: str, by: str | None, dry_run: bool
) -> None:
    """Revoke the decision with this ID; its listings are decided anew.

    What it had revoked stays revoked.
    """
    decided = _decide(
        settings, reason, by, dry_run, lambda c, s: corrections.undo(c, correction_id, s)
    )
    verb = "would be revoked" if dry_run else "revoked"
    told = "one pair" if decided.pairs == 1 else f"{decided.pairs} pairs"
    click.echo(f"correction {correction_id}: {verb}, {told} of listings")


def _decide(
    settings: Settings,
    reason: str,
    by: str | None,
    dry_run: bool,
    decide: Callable[[Connection, Signed], Decided],
) -> Decided:
    """Decide in one transaction, which a dry run takes back."""
    if not reason.strip():
        raise click.BadParameter("say why", param_hint="--reason")
    signed = Signed(by or getpass.getuser(), reason.strip())
    with open_worker(settings) as worker:
        worker.apply_crosswalk()
        at = worker.faults.of_batch("identity", 0)
        with reachable(), worker.engine.connect() as conn:
            decided = decide(conn, signed)
            at("before_commit")
            if dry_run:
                conn.rollback()
            else:
                conn.commit()
                at("after_commit")
    return decided


def _tell(said: str, decided: Decided, *, dry_run: bool) -> None:
    revoked = f"; it revokes {', '.join(map(str, decided.revoked))}" if decided.revoked else ""
    if dry_run:
        click.echo(f"would decide: {said}{revoked}")
    else:
        click.echo(f"correction {decided.id}: {said}{revoked}")
