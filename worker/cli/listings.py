"""`worker listings`: what a person decides of what a source lists."""

import click

from shared.settings import Settings
from worker.cli.base import BY, LISTING_SOURCE, Commands
from worker.cli.decisions import DRY_RUN, REASON, decide
from worker.curation import retirements


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
