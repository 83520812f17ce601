"""`worker drift`: differences between the sources' shapes and the known ones."""

import click

from shared.settings import Settings
from worker.cli.base import SOURCE, Commands, as_json, open_worker
from worker.cli.output import show_json, show_table
from worker.database.engine import reachable
from worker.drift.ledger import acknowledge, read_drift


@click.group(cls=Commands)
def drift() -> None:
    """Show how the sources' shapes differ from the known ones, and accept it."""


@drift.command("list")
@click.option("--source", type=SOURCE, help="Show only this source.")
@click.option("--all", "everything", is_flag=True, help="Include acknowledged drift.")
@as_json
@click.pass_obj
def drift_list(settings: Settings, source: str | None, everything: bool, as_json: bool) -> None:
    """Show drift that is not acknowledged, the most recent first."""
    with open_worker(settings) as worker, reachable(), worker.engine.connect() as conn:
        rows = read_drift(conn, source, everything=everything)
    if as_json:
        show_json(rows)
        return
    if not rows:
        click.echo("no drift")
        return
    show_table(
        rows,
        id="drift",
        source="source",
        path="path",
        kind="kind",
        said="detail",
        percent="share",
        records="records",
        first_run_id="first run",
        last_run_id="last run",
        looked_at="example",
        acknowledged_at="acknowledged",
    )


@drift.command("ack")
@click.argument("ids", type=click.IntRange(1), nargs=-1, metavar="ID...")
@click.option("--all", "everything", is_flag=True, help="Acknowledge all open drift.")
@click.option("--dry-run", is_flag=True, help="Show what would be acknowledged; change nothing.")
@click.pass_obj
def drift_ack(settings: Settings, ids: tuple[int, ...], everything: bool, dry_run: bool) -> None:
    """Accept drift: it causes no warning and fails no run until the shape changes again."""
    if bool(ids) == everything:
        raise click.UsageError("name the IDs of the drift, or set --all")
    with open_worker(settings) as worker, reachable(), worker.engine.connect() as conn:
        acknowledged = acknowledge(conn, None if everything else ids)
        if dry_run:
            conn.rollback()
        else:
            conn.commit()
    for row in acknowledged:
        click.echo(f"drift {row.id}: {row.source}: {row.path!r} {row.kind}")
    click.echo(f"{len(acknowledged)} {'would be ' if dry_run else ''}acknowledged")
    if missing := sorted(set(ids) - {row.id for row in acknowledged}):
        raise click.ClickException(
            f"drift {', '.join(map(str, missing))}: not open; see `worker drift list`"
        )
