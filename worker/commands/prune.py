"""`worker prune`: old raw records out of the database."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import click

from shared.settings import LISTING_SOURCES, Settings
from worker.archive import require_parquet
from worker.commands.base import open_worker
from worker.prune import Old, find_old, prune

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command("prune")
@click.option(
    "--source",
    "names",
    type=click.Choice(LISTING_SOURCES),
    multiple=True,
    help="Only this source; may be repeated.",
)
@click.option(
    "--archive", "folder", type=FOLDER, help="Write them to Parquet files in this folder."
)
@click.option("--drop", is_flag=True, help="Keep no copy of them.")
@click.option("--yes", is_flag=True, help="Do it; without this, it only says what would go.")
@click.pass_obj
def prune_(
    settings: Settings, names: Sequence[str], folder: Path | None, drop: bool, yes: bool
) -> None:
    """Take raw records out that are older than RAW_RETENTION_DAYS; observations are kept.

    Whole partitions go: months, and before 2026 years. Each is archived, the archive read back, and
    then it is dropped; killed half-way, start it again.
    """
    if folder and drop:
        raise click.UsageError("--archive keeps a copy and --drop keeps none: say one of them")
    if settings.raw_retention_days is None:
        click.echo("raw records are kept for ever: RAW_RETENTION_DAYS is not set")
        return
    if yes and not folder and not drop:
        raise click.UsageError("say what becomes of them: --archive FOLDER, or --drop")
    if folder:
        require_parquet()
    retention = timedelta(days=settings.raw_retention_days)
    with open_worker(settings) as worker:
        for name in names or LISTING_SOURCES:
            if not yes:
                _show(name, find_old(worker.engine, name, retention))
                continue
            at = worker.faults.of_batch(name, 0)
            gone = 0
            for pruned in prune(worker.engine, name, retention, folder, at):
                where = f"archived in {pruned.archive}" if pruned.archive else "dropped"
                click.echo(f"{name}: {_describe(pruned.old)}: {where}")
                gone += 1
            if not gone:
                click.echo(f"{name}: nothing is older than {settings.raw_retention_days} days")
    if not yes:
        click.echo("nothing was changed; --yes with --archive FOLDER or --drop does it")


def _show(name: str, found: Sequence[Old]) -> None:
    for old in found:
        click.echo(f"{name}: {_describe(old)}: would go")
    if not found:
        click.echo(f"{name}: nothing would go")


def _describe(old: Old) -> str:
    if not old.records:
        return f"{old.name}, empty"
    return (
        f"{old.name}, {old.records} raw records in {old.bytes} bytes, "
        f"observed from {old.earliest:%Y-%m-%dT%H:%M:%SZ} to {old.latest:%Y-%m-%dT%H:%M:%SZ}"
    )
