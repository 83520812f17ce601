"""`worker status` and `worker runs`."""

from collections.abc import Mapping
from types import SimpleNamespace

import click

from shared.model.runs import PHASES
from shared.settings import Settings
from worker.cli.base import SOURCE, as_json, open_worker
from worker.cli.output import show_json, show_table
from worker.database.engine import reachable
from worker.maintenance import status_queries


@click.command()
@as_json
@click.pass_obj
def status(settings: Settings, as_json: bool) -> None:
    """Show the last run or import, totals and freshness of each source, and the request budgets."""
    with open_worker(settings) as worker, reachable(), worker.engine.connect() as conn:
        sources, assets = status_queries.read_sources(conn), status_queries.count_assets(conn)
        budgets = worker.read_usage()
    if as_json:
        show_json(
            {
                "assets": assets,
                "sources": sources,
                "budgets": [status_queries.budget(usage) for usage in budgets],
                "expected": status_queries.expectations(),
            }
        )
        return
    show_table(
        sources,
        source="source",
        command="command",
        outcome="last run",
        reason="reason",
        started_at="started",
        last_success_at="last success",
        observed_at="newest observation",
        listings="listings",
        records_fetched="fetched",
        records_new="new",
        records_rejected="rejected",
    )
    click.echo()
    for source in sources:
        if source.error:
            click.echo(f"{source.source}: {source.error.removeprefix(f'{source.source}: ')}")
    for usage in budgets:
        click.echo(status_queries.budget_sentence(usage))
    click.echo("1 asset" if assets == 1 else f"{assets} assets")
    click.echo()
    show_table(
        [SimpleNamespace(**each) for each in status_queries.expectations()],
        source="expectations",
        fresh_for_seconds="fresh (s)",
        min_snapshot_share="min snapshot",
        max_reject_share="max rejects",
        max_reject_rise="max rise of rejects",
        max_unchanged_seconds="max unchanged (s)",
        min_new_share="min new",
        read_every_seconds="interval (s)",
    )


@click.command()
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Number of runs."
)
@click.option("--source", type=SOURCE, help="Show only this source.")
@as_json
@click.pass_obj
def runs(settings: Settings, limit: int, source: str | None, as_json: bool) -> None:
    """Show the newest runs, newest first."""
    with open_worker(settings) as worker, reachable(), worker.engine.connect() as conn:
        rows = status_queries.read_runs(conn, limit, source)
    if as_json:
        show_json(rows)
        return
    show_table(
        [SimpleNamespace(**row._asdict(), took=_phases(row.phase_seconds)) for row in rows],
        id="run",
        source="source",
        command="command",
        outcome="outcome",
        reason="reason",
        started_at="started",
        finished_at="finished",
        records_fetched="fetched",
        records_new="new",
        records_unchanged="unchanged",
        records_rejected="rejected",
        records_revised="revised",
        took="seconds",
    )


def _phases(seconds: Mapping[str, float]) -> str | None:
    """Format the seconds of each phase that took any time, in order."""
    return ", ".join(f"{name} {seconds[name]:.1f}" for name in PHASES if seconds.get(name)) or None
