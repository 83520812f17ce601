"""`worker checkpoint`: where sources stand, and how to set one back."""

import click

from shared.settings import Settings
from worker.cli.base import SOURCE, Commands, as_json, open_worker
from worker.cli.show import show_json, show_table
from worker.database.engine import reachable
from worker.ingest.journal import clear_checkpoint
from worker.maintenance import report


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
