"""`worker rejects`: what was refused, and why."""

import click

from shared.db import reachable
from shared.settings import Settings
from worker import report
from worker.commands.base import SOURCE, Commands, as_json, open_worker
from worker.show import show_json, show_table


@click.group(cls=Commands)
def rejects() -> None:
    """Show refused records."""


@rejects.command("list")
@click.option("--source", type=SOURCE, help="Only this source.")
@click.option("--reason", help="Only records with this text in one of their reasons.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many."
)
@as_json
@click.pass_obj
def rejects_list(
    settings: Settings,
    source: str | None,
    reason: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show refused records, those seen last first, and how many there are by reason."""
    with open_worker(settings) as worker, reachable(), worker.engine.connect() as conn:
        rows = report.read_rejects(conn, limit, source, reason)
        counts = report.count_rejects(conn, source)
    if as_json:
        show_json({"counts": counts, "rejects": rows})
        return
    if not rows:
        click.echo("no rejects")
        return
    show_table(counts, source="source", reason="reason", records="records")
    show_table(
        rows,
        id="reject",
        source="source",
        external_id="external id",
        position="position",
        reasons="reasons",
        times_seen="seen",
        last_seen_at="last seen",
    )
