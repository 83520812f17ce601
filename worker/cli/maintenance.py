"""`worker migrate`, `reprocess`, `verify` and `prune`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import click

from shared.model.catalogue import LISTING_SOURCES, SOURCES
from shared.settings import Settings
from worker.app import Worker, database
from worker.cli.base import SOURCE, as_json, open_worker
from worker.cli.output import show_json, show_progress
from worker.database.engine import reachable
from worker.maintenance import status_queries
from worker.maintenance.migrate import ensure_reader_login, require_schema, upgrade
from worker.maintenance.prune.archive import require_parquet
from worker.maintenance.prune.records import OldPartition, find_old_partitions, prune
from worker.maintenance.prune.rejects import OldRejects, find_old_rejects, prune_rejects
from worker.maintenance.reprocess import reprocess
from worker.maintenance.verify import verify


@click.command()
@click.pass_obj
def migrate(settings: Settings) -> None:
    """Update the database schema; safe to repeat.

    Stop all workers first: the update is refused while a worker is reading a source.

    If a release changed how listings become assets, all listings are decided again.

    With API_DATABASE_URL set, also create that login with read-only privileges.
    """
    with database(settings) as url:
        upgrade(url)
        if settings.api_database_url is not None:
            ensure_reader_login(url, settings.api_database_url)
        click.echo(f"schema is at revision {require_schema(url)}")


@click.command("reprocess")
@click.option(
    "--source", "names", type=SOURCE, multiple=True, help="Rebuild only this source; repeatable."
)
@click.option("--dry-run", is_flag=True, help="Count the raw records; change nothing.")
@click.pass_obj
def reprocess_(settings: Settings, names: tuple[str, ...], dry_run: bool) -> None:
    """Rebuild observations, listings and assets from raw records, without fetching.

    Readers are not blocked. If the command is killed, run it again.
    """
    with open_worker(settings) as worker:
        if dry_run:
            worker.read_crosswalk()
        else:
            worker.apply_crosswalk()
        for name in names or SOURCES:
            if dry_run:
                with reachable(), worker.engine.connect() as conn:
                    click.echo(
                        f"{name}: {status_queries.count_raw(conn, name)} raw records to read"
                    )
                continue
            with show_progress() as progress:
                rebuilt = reprocess(worker.engine, worker.source(name), progress(name))
            click.echo(
                f"{name}: {rebuilt.read} raw records read, {rebuilt.unreadable} of them no longer "
                "match the current schema"
            )


@click.command("verify")
@as_json
@click.pass_context
def verify_(ctx: click.Context, as_json: bool) -> None:
    """Check the invariants on the whole database and print the counts.

    Exit with 1 and list the rows if something is damaged. Nothing is changed.
    """
    with open_worker(ctx.obj) as worker:
        found = verify(worker.engine, [worker.source(name) for name in SOURCES])
    if as_json:
        show_json(found)
    else:
        for table, count in found.counted.items():
            click.echo(f"{table:26}{count:>6}")
        click.echo(f"{'fingerprint':26}{found.fingerprint}")
        for finding in found.findings:
            click.echo(f"DAMAGED {finding.check}: {finding.count} rows")
            for row in finding.rows:
                click.echo(f"  {row}")
        sound = found.checks - len(found.findings)
        click.echo(f"{sound} of {found.checks} checks found nothing wrong")
    ctx.exit(1 if found.findings else 0)


FOLDER = click.Path(file_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True)
class Pruning:
    """The arguments of `worker prune`; without `yes` nothing is changed."""

    worker: Worker
    names: Sequence[str]
    folder: Path | None
    yes: bool


@click.command("prune")
@click.option(
    "--source",
    "names",
    type=click.Choice(SOURCES),
    multiple=True,
    help="Prune only this source; repeatable.",
)
@click.option(
    "--archive", "folder", type=FOLDER, help="Archive the records as Parquet in this folder."
)
@click.option("--drop", is_flag=True, help="Delete the records without an archive.")
@click.option("--yes", is_flag=True, help="Delete; without this, only show what would be deleted.")
@click.pass_obj
def prune_(
    settings: Settings, names: Sequence[str], folder: Path | None, drop: bool, yes: bool
) -> None:
    """Delete raw records and rejects that are older than the retention settings.

    The settings are RAW_RETENTION_DAYS and REJECT_RETENTION_DAYS. Observations stay. Raw records
    are deleted in whole partitions: months, and years before 2026. Rejects are deleted by the day
    when they were last seen. An archive is read back before its records are deleted. If the command
    is killed, run it again.
    """
    if folder and drop:
        raise click.UsageError("--archive and --drop exclude each other; use one of them")
    days, reject_days = settings.raw_retention_days, settings.reject_retention_days
    if days is None and reject_days is None:
        click.echo("RAW_RETENTION_DAYS is not set: raw records are kept forever")
        click.echo("REJECT_RETENTION_DAYS is not set: rejects are kept forever")
        return
    if yes and not folder and not drop:
        raise click.UsageError("--yes needs --archive FOLDER or --drop")
    if folder:
        require_parquet()
    with open_worker(settings) as worker:
        pruning = Pruning(worker, names or SOURCES, folder, yes)
        if days is not None:
            _prune_raw(pruning, days)
        if reject_days is not None:
            _prune_rejects(pruning, reject_days)
    if not yes:
        click.echo("nothing was changed; to delete, add --yes and --archive FOLDER or --drop")


def _prune_raw(pruning: Pruning, days: int) -> None:
    engine, retention = pruning.worker.engine, timedelta(days=days)
    for name in pruning.names:
        if name not in LISTING_SOURCES:
            continue
        if not pruning.yes:
            _show_partitions(name, find_old_partitions(engine, name, retention))
            continue
        at = pruning.worker.faults.of_batch(name, 0)
        count = 0
        for pruned in prune(engine, name, retention, pruning.folder, at):
            where = f"archived in {pruned.archive}" if pruned.archive else "dropped"
            click.echo(f"{name}: {_describe(pruned.partition)}: {where}")
            count += 1
        if not count:
            click.echo(f"{name}: nothing is older than {days} days")


def _prune_rejects(pruning: Pruning, days: int) -> None:
    engine, retention = pruning.worker.engine, timedelta(days=days)
    for name in pruning.names:
        if not pruning.yes:
            old = find_old_rejects(engine, name, retention)
            verb = "would be deleted" if old.rejects else "nothing to delete"
        else:
            at = pruning.worker.faults.of_batch(name, 0)
            old, archive = prune_rejects(engine, name, retention, pruning.folder, at)
            verb = f"archived in {archive}" if archive else "dropped"
        if old.rejects or not pruning.yes:
            click.echo(f"{name}: {_describe_rejects(old)}: {verb}")


def _describe_rejects(old: OldRejects) -> str:
    return (
        f"{old.rejects} rejects, {old.bytes} bytes, last seen before "
        f"{old.before:%Y-%m-%dT%H:%M:%SZ}"
    )


def _show_partitions(name: str, partitions: Sequence[OldPartition]) -> None:
    for partition in partitions:
        click.echo(f"{name}: {_describe(partition)}: would be deleted")
    if not partitions:
        click.echo(f"{name}: nothing to delete")


def _describe(partition: OldPartition) -> str:
    if not partition.records:
        return f"{partition.name}, empty"
    return (
        f"{partition.name}, {partition.records} raw records, {partition.bytes} bytes, observed "
        f"from {partition.earliest:%Y-%m-%dT%H:%M:%SZ} to {partition.latest:%Y-%m-%dT%H:%M:%SZ}"
    )
