"""`worker checkpoint` and `worker budget`: a source's position, and its provider's requests."""

import click

from shared.settings import Settings
from worker.app import Worker
from worker.cli.base import SOURCE, Commands, as_json, open_worker
from worker.cli.output import show_json, show_table
from worker.database.engine import reachable
from worker.fetch.budget import Usage, lift_pause
from worker.ingest.runs.journal import clear_checkpoint
from worker.maintenance import status_queries
from worker.sources import REGISTRY
from worker.sources.json.api import JsonApi


@click.group(cls=Commands)
def checkpoint() -> None:
    """Show or clear the checkpoints of sources."""


@checkpoint.command("show")
@click.argument("source", type=SOURCE, required=False)
@as_json
@click.pass_obj
def checkpoint_show(settings: Settings, source: str | None, as_json: bool) -> None:
    """Show the checkpoint of SOURCE, or of every source."""
    with open_worker(settings) as worker, reachable(), worker.engine.connect() as conn:
        rows = status_queries.read_checkpoints(conn, source)
    if as_json:
        show_json(rows)
        return
    show_table(
        rows,
        source="source",
        cursor="cursor",
        run_id="run",
        batches="batches",
        records_fetched="fetched",
        snapshot_records="snapshot",
        last_success_at="last success",
        last_failure_at="last failure",
    )


@checkpoint.command("clear")
@click.argument("source", type=SOURCE)
@click.option("--dry-run", is_flag=True, help="Show what would be cleared; change nothing.")
@click.pass_obj
def checkpoint_clear(settings: Settings, source: str, dry_run: bool) -> None:
    """Reset SOURCE to its beginning; stored data stays.

    The next run reads everything again and counts stored records as unchanged.
    """
    with open_worker(settings) as worker:
        if dry_run:
            with reachable(), worker.engine.connect() as conn:
                found = bool(status_queries.read_checkpoints(conn, source))
        else:
            found = clear_checkpoint(worker.engine, source)
    verb = "would be cleared" if dry_run else "cleared"
    click.echo(f"{source}: checkpoint {verb}" if found else f"{source}: no checkpoint")


NETWORK_SOURCE = click.Choice(
    [name for name, source in REGISTRY.items() if issubclass(source, JsonApi)]
)


@click.group(cls=Commands)
def budget() -> None:
    """Show the request budgets of providers, or lift a pause.

    Sources of one provider share its budget: coingecko_coins uses that of coingecko.
    """


@budget.command("show")
@click.argument("source", type=NETWORK_SOURCE, required=False)
@as_json
@click.pass_obj
def budget_show(settings: Settings, source: str | None, as_json: bool) -> None:
    """Show the budget of SOURCE, or of all providers, and a pause with the provider's message."""
    with open_worker(settings) as worker:
        budgets = _read_budgets(worker, source)
    if as_json:
        show_json([status_queries.budget(usage) for usage in budgets])
        return
    for usage in budgets:
        click.echo(status_queries.budget_sentence(usage))
        if usage.pause_said:
            click.echo(f"  {usage.pause_said}")


@budget.command("reset")
@click.argument("source", type=NETWORK_SOURCE)
@click.option("--dry-run", is_flag=True, help="Show what would be lifted; change nothing.")
@click.pass_obj
def budget_reset(settings: Settings, source: str, dry_run: bool) -> None:
    """Lift the pause of SOURCE's provider: the next run sends requests at once.

    The count of the month's requests stays.
    """
    with open_worker(settings) as worker:
        (usage,) = _read_budgets(worker, source)
        if not dry_run:
            with reachable(), worker.engine.begin() as conn:
                lift_pause(conn, usage.source)
    if usage.paused_until is None:
        click.echo(f"{usage.source}: not paused")
    else:
        verb = "would be lifted" if dry_run else "lifted"
        click.echo(
            f"{usage.source}: the pause until {usage.paused_until:%Y-%m-%d %H:%M:%SZ} "
            f"({usage.pause_reason}) {verb}"
        )
    if not usage.left:
        click.echo(
            f"{usage.source}: the month's budget is also used up; if the plan has more, raise "
            f"{usage.source.upper()}_REQUESTS_PER_MONTH"
        )


def _read_budgets(worker: Worker, source: str | None) -> list[Usage]:
    """Read the budgets of all providers, or of the one that a source belongs to."""
    budgets = worker.read_usage()
    if source is None:
        return budgets
    adapter = worker.source(source)
    return [
        each for each in budgets if isinstance(adapter, JsonApi) and each.source == adapter.provider
    ]
