"""`worker identity link`, `split`, `merge`, `undo`: what a person decides, and takes back."""

from collections.abc import Callable

import click
import structlog
from sqlalchemy import Connection

from shared.settings import Settings
from worker.cli.base import BY, LISTING_SOURCE, login_name, open_worker
from worker.curation import corrections
from worker.curation.crosswalk import apply_crosswalk
from worker.curation.recording import Decided, Signed
from worker.database.engine import reachable

REASON = click.option("--reason", required=True, help="Why; it is kept with the decision.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what would be, and change nothing.")


@click.command("link")
@click.argument("source", type=LISTING_SOURCE)
@click.argument("external_id")
@click.argument("asset", metavar="ASSET")
@REASON
@BY
@DRY_RUN
@click.pass_obj
def link(  # noqa: PLR0913, PLR0917 -- one for each argument
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
    decided = decide(settings, reason, by, dry_run, lambda c, s: corrections.link(c, ref, asset, s))
    _tell(f"{source}:{external_id} is {asset}", decided, dry_run=dry_run)


@click.command("split")
@click.argument("source", type=LISTING_SOURCE)
@click.argument("external_id")
@click.option(
    "--from",
    "other",
    type=(LISTING_SOURCE, str),
    metavar="SOURCE EXTERNAL_ID",
    help="Only from this listing, which it may not be one with yet: so a review is rejected.",
)
@REASON
@BY
@DRY_RUN
@click.pass_obj
def split(  # noqa: PLR0913, PLR0917 -- one for each argument
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
    decided = decide(
        settings, reason, by, dry_run, lambda c, s: corrections.split(c, ref, other, s)
    )
    told = "what it was one with" if other is None else ":".join(other)
    _tell(f"{source}:{external_id} is not {told}", decided, dry_run=dry_run)


@click.command("merge")
@click.argument("slug")
@click.argument("into", metavar="INTO_SLUG")
@REASON
@BY
@DRY_RUN
@click.pass_obj
def merge(
    settings: Settings, slug: str, into: str, reason: str, by: str | None, dry_run: bool
) -> None:
    """Decide that the asset SLUG is the asset INTO_SLUG, whose slug stays."""
    decided = decide(
        settings, reason, by, dry_run, lambda c, s: corrections.merge(c, slug, into, s)
    )
    _tell(f"{slug} is {into}", decided, dry_run=dry_run)


@click.command("undo")
@click.argument("correction_id", metavar="ID", type=click.IntRange(1, 2**31 - 1))
@REASON
@BY
@DRY_RUN
@click.pass_obj
def undo(
    settings: Settings, correction_id: int, reason: str, by: str | None, dry_run: bool
) -> None:
    """Revoke the decision with this ID; its listings are decided anew.

    What it had revoked stays revoked.
    """
    decided = decide(
        settings, reason, by, dry_run, lambda c, s: corrections.undo(c, correction_id, s)
    )
    verb = "would be revoked" if dry_run else "revoked"
    told = "one pair" if decided.pairs == 1 else f"{decided.pairs} pairs"
    if decided.listings:
        told = "one listing" if decided.listings == 1 else f"{decided.listings} listings"
        click.echo(f"decision {correction_id}: {verb}, {told}{_assets(decided)}")
        return
    click.echo(f"correction {correction_id}: {verb}, {told} of listings{_assets(decided)}")


def decide(
    settings: Settings,
    reason: str,
    by: str | None,
    dry_run: bool,
    decision: Callable[[Connection, Signed], Decided],
) -> Decided:
    """Decide in one transaction, which a dry run takes back."""
    if not reason.strip():
        raise click.BadParameter("say why", param_hint="--reason")
    signed = Signed(by or login_name(), reason.strip())
    with open_worker(settings) as worker:
        written = worker.read_crosswalk()
        at = worker.faults.of_batch("identity", 0)
        tried = {"dry_run": True} if dry_run else {}
        with (
            structlog.contextvars.bound_contextvars(**tried),
            reachable(),
            worker.engine.connect() as conn,
        ):
            apply_crosswalk(conn, written)
            decided = decision(conn, signed)
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
        click.echo(f"would decide: {said}{revoked}{_assets(decided)}")
    else:
        click.echo(f"correction {decided.id}: {said}{revoked}{_assets(decided)}")


def _assets(decided: Decided) -> str:
    """Say what the listings are then: an older asset of theirs may be the one that stays."""
    return f"; asset {', '.join(decided.assets)}"


DECISIONS = (link, split, merge, undo)
