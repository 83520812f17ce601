"""`worker drift`: how the sources' shapes differ from what was known of them."""

import click

from shared.settings import Settings
from worker.cli.base import SOURCE, Commands, as_json, open_worker
from worker.cli.show import show_json, show_table
from worker.database.engine import reachable
from worker.drift.ledger import acknowledge, read_drift


@click.group(cls=Commands)
def drift() -> None:
    """Show how the sources' shapes came to differ, and accept it."""


@drift.command("list")
@click.option("--source", type=SOURCE, help="Only this source.")
@click.option("--all", "everything", is_flag=True, help="What was acknowledged too.")
@as_json
@click.pass_obj
def drift_list(settings: Settings, source: str | None, everything: bool, as_json: bool) -> None:
    """Show what differs and is not acknowledged, what was seen last first."""
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
@click.option("--all", "everything", is_flag=True, help="All that is not acknowledged yet.")
@click.option("--dry-run", is_flag=True, help="Say what would be acknowledged, and change nothing.")
@click.pass_obj
def drift_ack(settings: Settings, ids: tuple[int, ...], everything: bool, dry_run: bool) -> None:
    """Accept what differs: it is not warned of, and fails no run, until it differs anew."""
    if bool(ids) == everything:
        raise click.UsageError("name the drift by its IDs, or say --all")
    with open_worker(settings) as worker, reachable(), worker.engine.connect() as conn:
        done = acknowledge(conn, None if everything else ids)
        if dry_run:
            conn.rollback()
        else:
            conn.commit()
    for row in done:
        click.echo(f"drift {row.id}: {row.source}: {row.path!r} {row.kind}")
    click.echo(f"{len(done)} {'would be ' if dry_run else ''}acknowledged")
    unknown = sorted(set(ids) - {row.id for row in done})
    if unknown:
        told = ", ".join(map(str, unknown))
        raise click.ClickException(f"drift {told}: nothing to acknowledge; see `worker drift list`")
