"""`worker budget`: what providers' budgets are at, and a pause that one asked for."""

import click

from shared.settings import Settings
from worker.app import Worker
from worker.cli.base import Commands, as_json, open_worker
from worker.cli.show import show_json
from worker.database.engine import reachable
from worker.fetch.budget import Usage, lift_pause
from worker.maintenance import report
from worker.sources import REGISTRY
from worker.sources.json_api import JsonApi

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
