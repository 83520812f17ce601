"""`worker migrate`, `reprocess`, `verify` and `prune`: keep a database in order."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import click

from shared.model.catalogue import LISTING_SOURCES, SOURCES
from shared.settings import Settings
from worker.app import Worker, database
from worker.cli.base import SOURCE, as_json, open_worker
from worker.cli.show import show_json, show_progress
from worker.database.engine import reachable
from worker.maintenance import report
from worker.maintenance.migrate import ensure_reader_login, require_schema, upgrade
from worker.maintenance.prune.archive import require_parquet
from worker.maintenance.prune.records import Old, find_old, prune
from worker.maintenance.prune.rejects import OldRejects, find_old_rejects, prune_rejects
from worker.maintenance.reprocess import reprocess
from worker.maintenance.verify import verify


@click.command()
@click.pass_obj
def migrate(settings: Settings) -> None:
    """Bring the database's schema up to date; safe to repeat.

    Stop all workers before: while one is at a source, this is refused where anything is to change.

    Where a release changed how listings become assets, decide on all listings again.

    With API_DATABASE_URL set, also create that login, with the right to read alone.
    """
    with database(settings) as url:
        upgrade(url)
        if settings.api_database_url is not None:
            ensure_reader_login(url, settings.api_database_url)
        click.echo(f"schema is at revision {require_schema(url)}")


@click.command("reprocess")
@click.option(
    "--source", "names", type=SOURCE, multiple=True, help="Only this source; may be repeated."
)
@click.option("--dry-run", is_flag=True, help="Count the raw records to read, and change nothing.")
@click.pass_obj
def reprocess_(settings: Settings, names: tuple[str, ...], dry_run: bool) -> None:
    """Rebuild observations, listings and assets from raw records, without fetching.

    Readers are not disturbed; killed half-way, start it again.
    """
    with open_worker(settings) as worker:
        if dry_run:
            worker.read_crosswalk()
        else:
            worker.apply_crosswalk()
        for name in names or SOURCES:
            if dry_run:
                with reachable(), worker.engine.connect() as conn:
                    click.echo(f"{name}: {report.count_raw(conn, name)} raw records to read")
                continue
            with show_progress() as progress:
                rebuilt = reprocess(worker.engine, worker.source(name), progress(name))
            click.echo(
                f"{name}: {rebuilt.read} raw records read, {rebuilt.unreadable} of them are none "
                "by the schema of today"
            )


@click.command("verify")
@as_json
@click.pass_context
def verify_(ctx: click.Context, as_json: bool) -> None:
    """Check the invariants on the whole database, and print what was counted.

    Exits with 1 where something is damaged, and names the rows. It changes nothing.
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
    """What is to be done, and in which folder it is archived; without `yes`, it is only told."""

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
    """Take out raw records older than RAW_RETENTION_DAYS, and rejects than REJECT_RETENTION_DAYS.

    Observations are kept. Of raw records whole partitions go: months, and before 2026 years; of
    rejects those that were seen last before that day. Each is archived, the archive read back, and
    then it is dropped; killed half-way, start it again.
    """
    if folder and drop:
        raise click.UsageError("--archive keeps a copy and --drop keeps none: say one of them")
    days, reject_days = settings.raw_retention_days, settings.reject_retention_days
    if days is None and reject_days is None:
        click.echo("raw records are kept for ever: RAW_RETENTION_DAYS is not set")
        click.echo("rejects are kept for ever: REJECT_RETENTION_DAYS is not set")
        return
    if yes and not folder and not drop:
        raise click.UsageError("say what becomes of them: --archive FOLDER, or --drop")
    if folder:
        require_parquet()
    with open_worker(settings) as worker:
        pruning = Pruning(worker, names or SOURCES, folder, yes)
        if days is not None:
            _prune_raw(pruning, days)
        if reject_days is not None:
            _prune_rejects(pruning, reject_days)
    if not yes:
        click.echo("nothing was changed; --yes with --archive FOLDER or --drop does it")


def _prune_raw(pruning: Pruning, days: int) -> None:
    engine, retention = pruning.worker.engine, timedelta(days=days)
    for name in pruning.names:
        if name not in LISTING_SOURCES:
            continue
        if not pruning.yes:
            _show(name, find_old(engine, name, retention))
            continue
        at = pruning.worker.faults.of_batch(name, 0)
        gone = 0
        for pruned in prune(engine, name, retention, pruning.folder, at):
            where = f"archived in {pruned.archive}" if pruned.archive else "dropped"
            click.echo(f"{name}: {_describe(pruned.old)}: {where}")
            gone += 1
        if not gone:
            click.echo(f"{name}: nothing is older than {days} days")


def _prune_rejects(pruning: Pruning, days: int) -> None:
    engine, retention = pruning.worker.engine, timedelta(days=days)
    for name in pruning.names:
        if not pruning.yes:
            old = find_old_rejects(engine, name, retention)
            verb = "would go" if old.rejects else "nothing would go"
        else:
            at = pruning.worker.faults.of_batch(name, 0)
            old, archive = prune_rejects(engine, name, retention, pruning.folder, at)
            verb = f"archived in {archive}" if archive else "dropped"
        if old.rejects or not pruning.yes:
            click.echo(f"{name}: {_describe_rejects(old)}: {verb}")


def _describe_rejects(old: OldRejects) -> str:
    return (
        f"{old.rejects} rejects in {old.bytes} bytes, seen last before "
        f"{old.before:%Y-%m-%dT%H:%M:%SZ}"
    )


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
