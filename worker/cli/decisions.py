"""`worker identity link`, `split`, `merge` and `undo`: decisions of a person."""

from collections.abc import Callable, Sequence

import click
import structlog
from sqlalchemy import Connection

from shared.settings import Settings
from worker.cli.base import BY, LISTING_SOURCE, login_name, open_worker
from worker.curation import corrections
from worker.curation.crosswalk import apply_crosswalk
from worker.curation.recording import Attribution, Decision
from worker.database.engine import reachable

REASON = click.option("--reason", required=True, help="Reason, stored with the decision.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Show the result; change nothing.")


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
    """Link the listing SOURCE EXTERNAL_ID to the asset with the slug ASSET.

    If only the rules link it, the decision keeps later evidence from breaking that link. If a
    decision linked it before, nothing changes.
    """
    ref = (source, external_id)
    decided = decide(settings, reason, by, dry_run, lambda c, s: corrections.link(c, ref, asset, s))
    _show_decision(f"{source}:{external_id} is {asset}", decided, dry_run=dry_run)


@click.command("split")
@click.argument("source", type=LISTING_SOURCE)
@click.argument("external_id")
@click.option(
    "--from",
    "other",
    type=(LISTING_SOURCE, str),
    metavar="SOURCE EXTERNAL_ID",
    help="Separate it only from this listing, even if they are not linked (rejects a review).",
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
    """Separate a listing from its asset.

    It is also kept apart from each listing that is in the asset now.
    """
    ref = (source, external_id)
    decided = decide(
        settings, reason, by, dry_run, lambda c, s: corrections.split(c, ref, other, s)
    )
    apart_from = "the other listings of its asset" if other is None else ":".join(other)
    _show_decision(f"{source}:{external_id} is not {apart_from}", decided, dry_run=dry_run)


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
    """Merge the asset SLUG into the asset INTO_SLUG, whose slug stays."""
    decided = decide(
        settings, reason, by, dry_run, lambda c, s: corrections.merge(c, slug, into, s)
    )
    _show_decision(f"{slug} is {into}", decided, dry_run=dry_run)


@click.command("undo")
@click.argument("correction_id", metavar="ID", type=click.IntRange(1, 2**31 - 1))
@REASON
@BY
@DRY_RUN
@click.pass_obj
def undo(
    settings: Settings, correction_id: int, reason: str, by: str | None, dry_run: bool
) -> None:
    """Revoke the decision with this ID and decide again about its listings.

    A decision on several pairs has an ID for each; any of them revokes all pairs. Decisions that
    it had revoked stay revoked.
    """
    decided = decide(
        settings, reason, by, dry_run, lambda c, s: corrections.undo(c, correction_id, s)
    )
    verb = "would be revoked" if dry_run else "revoked"
    if decided.listings:
        listings = "one listing" if decided.listings == 1 else f"{decided.listings} listings"
        click.echo(f"decision {correction_id}: {verb}, {listings}{_assets(decided)}")
        return
    pairs = "one pair" if len(decided.ids) == 1 else f"{len(decided.ids)} pairs"
    click.echo(f"correction {correction_id}: {verb}, {pairs} of listings{_assets(decided)}")


def decide(
    settings: Settings,
    reason: str,
    by: str | None,
    dry_run: bool,
    decision: Callable[[Connection, Attribution], Decision],
) -> Decision:
    """Apply the crosswalk and the decision in one transaction; a dry run rolls it back."""
    if not reason.strip():
        raise click.BadParameter("is empty; expected a reason", param_hint="--reason")
    attribution = Attribution(by or login_name(), reason.strip())
    with open_worker(settings) as worker:
        rows = worker.read_crosswalk()
        at = worker.faults.of_batch("identity", 0)
        with (
            structlog.contextvars.bound_contextvars(**({"dry_run": True} if dry_run else {})),
            reachable(),
            worker.engine.connect() as conn,
        ):
            apply_crosswalk(conn, rows)
            decided = decision(conn, attribution)
            at("before_commit")
            if dry_run:
                conn.rollback()
            else:
                conn.commit()
                at("after_commit")
    return decided


def _show_decision(summary: str, decided: Decision, *, dry_run: bool) -> None:
    if not decided.ids:
        click.echo(f"nothing to change: {summary} by {_number(decided.earlier)}{_assets(decided)}")
        return
    revoked = f"; revokes {', '.join(map(str, decided.revoked))}" if decided.revoked else ""
    if dry_run:
        click.echo(f"would decide: {summary}{revoked}{_assets(decided)}")
    else:
        click.echo(f"{_number(decided.ids)}: {summary}{revoked}{_assets(decided)}")


def _number(ids: Sequence[int]) -> str:
    return f"correction{'s' if len(ids) > 1 else ''} {', '.join(map(str, ids))}"


def _assets(decided: Decision) -> str:
    """Name the resulting assets, whose slugs may differ from those in the command."""
    return f"; asset {', '.join(decided.assets)}"


DECISIONS = (link, split, merge, undo)
