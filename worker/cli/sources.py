"""`worker checkpoint` and `worker budget`: where a source stands, and how much it may be asked."""

import click

from shared.settings import Settings
from worker.app import Worker
from worker.cli.base import SOURCE, Commands, as_json, open_worker
from worker.cli.show import show_json, show_table
from worker.database.engine import reachable
from worker.fetch.budget import Usage, lift_pause
from worker.ingest.journal import clear_checkpoint
from worker.maintenance import report
from worker.sources import REGISTRY
from worker.sources.json_api import JsonApi


@click.group(cls=Commands)
def checkpoint() -> None:
    """Show where sources stand, or set one back."""


@checkpoint.command("show")
@click.argument("source", type=SOURCE, required=False)
@as_json
@click.pass_obj
def checkpoint_show(settings: Settings, source: str | None, as_json: bool) -> None:
    """Show the checkpoint of SOURCE, or of every source."""
    with open_worker(settings) as worker, reachable(), worker.engine.connect() as conn:
        rows = report.read_checkpoints(conn, source)
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
@click.option("--dry-run", is_flag=True, help="Say what would be cleared, and leave it.")
@click.pass_obj
def checkpoint_clear(settings: Settings, source: str, dry_run: bool) -> None:
    """Set SOURCE back to its beginning; no stored data is touched.

    Its next run reads everything again, and finds what is stored already unchanged.
    """
    with open_worker(settings) as worker:
        if dry_run:
            with reachable(), worker.engine.connect() as conn:
                found = bool(report.read_checkpoints(conn, source))
        else:
            found = clear_checkpoint(worker.engine, source)
    verb = "would be cleared" if dry_run else "cleared"
    click.echo(f"{source}: checkpoint {verb}" if found else f"{source}: has no checkpoint")


ASKED = click.Choice([name for name, source in REGISTRY.items() if issubclass(source, JsonApi)])


@click.group(cls=Commands)
def budget() -> None:
    """Show the request budgets of providers, or lift a pause.

    Sources of one provider share its budget: coingecko_coins is asked on that of coingecko.
    """


@budget.command("show")
@click.argument("source", type=ASKED, required=False)
@as_json
@click.pass_obj
def budget_show(settings: Settings, source: str | None, as_json: bool) -> None:
    """Show the budget of SOURCE, or of every provider, and a pause with the provider's words."""
    with open_worker(settings) as worker:
        budgets = _read(worker, source)
    if as_json:
        show_json([report.budget(usage) for usage in budgets])
        return
    for usage in budgets:
        click.echo(report.budget_sentence(usage))
        if usage.pause_said:
            click.echo(f"  {usage.pause_said}")


@budget.command("reset")
@click.argument("source", type=ASKED)
@click.option("--dry-run", is_flag=True, help="Say what would be lifted, and leave it.")
@click.pass_obj
def budget_reset(settings: Settings, source: str, dry_run: bool) -> None:
    """Lift the pause of SOURCE's provider: the next run asks it at once.

    The requests of the month stay counted.
    """
    with open_worker(settings) as worker:
        (usage,) = _read(worker, source)
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
            f"{usage.source}: the budget of the month is used too; raise "
            f"{usage.source.upper()}_REQUESTS_PER_MONTH if the plan has more"
        )


def _read(worker: Worker, source: str | None) -> list[Usage]:
    """Read the budgets of all providers, or of the one that a source belongs to."""
    budgets = worker.read_usage()
    if source is None:
        return budgets
    asked = worker.source(source)
    return [
        each for each in budgets if isinstance(asked, JsonApi) and each.source == asked.provider
    ]
