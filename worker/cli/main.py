"""The `worker` command: parse, call, say what came of it.

Exit codes: 0 done; 1 a source failed, or `verify` found damage; 2 wrong usage or configuration;
3 the source is locked by another worker. What a program should read goes to stdout, logs to stderr.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import click

from shared.logs import configure_logs
from shared.model.runs import PHASES
from shared.settings import SOURCES, Settings
from worker.app import Worker, database
from worker.cli.api_keys import api_keys
from worker.cli.base import FILE, SOURCE, Commands, as_json, open_worker, stop_on_signals
from worker.cli.budget import budget
from worker.cli.checkpoint import checkpoint
from worker.cli.drift import drift
from worker.cli.identity import identity
from worker.cli.listings import listings
from worker.cli.prune import prune_
from worker.cli.rejects import rejects
from worker.cli.show import show_json, show_progress, show_result, show_table
from worker.database.engine import reachable
from worker.ingest import loop
from worker.local import supervisor
from worker.maintenance import report
from worker.maintenance.migrate import ensure_reader_login, require_schema, upgrade
from worker.maintenance.reprocess import reprocess
from worker.maintenance.verify import verify


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kasparro-etl")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Load crypto market data from CoinPaprika, CoinGecko and CSV files into Postgres.

    Configured by the environment (see worker/README.md). While DATABASE_URL is not set, an embedded
    PostgreSQL below .local/ is used, and started where it does not run yet. LOG_LEVEL is DEBUG,
    INFO, WARNING or ERROR.
    """
    ctx.obj = settings = Settings.from_env(os.environ, Path(".env"))
    configure_logs(settings.log_level, settings.log_format)


@main.command()
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


@main.command()
@click.option("--once", is_flag=True, help="Make one pass over the sources, and exit.")
@click.option(
    "--source", "names", type=SOURCE, multiple=True, help="Only this source; may be repeated."
)
@click.option(
    "--interval",
    type=click.IntRange(1),
    help="Seconds between passes.  [default: RUN_INTERVAL_SECONDS, or 300]",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1, 100_000),
    help="Records in one transaction.  [default: BATCH_SIZE, or 1000]",
)
@click.pass_context
def run(
    ctx: click.Context,
    once: bool,
    names: tuple[str, ...],
    interval: int | None,
    batch_size: int | None,
) -> None:
    """Read the sources and load what is new, every --interval seconds or --once.

    The lists of contracts (coingecko_coins, coinpaprika_contracts) are read once a day: a pass
    leaves out one whose last good run is younger. One that --source names with --once is read.

    SIGTERM and Ctrl-C end it after the batch in flight.
    """
    settings = ctx.obj.replace(batch_size=batch_size, run_interval_seconds=interval)
    sources = names or settings.sources
    if not once:
        _run_forever(settings, sources)
        return
    with open_worker(settings) as worker, show_progress() as progress:
        worker.apply_crosswalk()
        stop_on_signals(worker)
        run_source = worker.run if names else worker.run_if_due
        done = loop.run_once(
            sources,
            lambda name: run_source(name, progress(name)),
            worker.stop,
            worker.provider_of,
        )
        if not done.unowned:
            worker.settle_sample()
    for result in done.results:
        show_result(result)
    for error in [*done.locked, *done.refused]:
        click.echo(f"Error: {error}", err=True)
    done.raise_unowned()
    ctx.exit(done.exit_code)


def _run_forever(settings: Settings, sources: Sequence[str]) -> None:
    """Make passes until told to stop, whether the database is there yet or not."""
    with database(settings) as url:
        if settings.database_url is None:
            upgrade(url)
        worker = Worker(settings, url)
        stop_on_signals(worker)

        worker.read_crosswalk()

        rounds = loop.Rounds(worker.take_turn, worker.stop, worker.provider_of)
        is_first = True

        def one_pass() -> None:
            nonlocal is_first
            worker.require_schema()
            if is_first:
                worker.apply_crosswalk()
                worker.warn_of_budgets(sources)
                is_first = False
            worker.settle_sample()
            rounds.go_round(sources).raise_unowned()
            worker.metrics.passed()

        with worker.metrics.served(settings.metrics_host, settings.metrics_port):
            try:
                loop.run_forever(one_pass, settings.run_interval_seconds, worker.stop)
            finally:
                worker.stop.set()
                rounds.close()


@main.command("import")
@click.argument("source", type=SOURCE)
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--declare",
    "declaration",
    type=FILE,
    help="What the CSV files do not say themselves; instead of the .toml beside each.",
)
@click.pass_context
def import_(
    ctx: click.Context, source: str, files: tuple[Path, ...], declaration: Path | None
) -> None:
    """Load saved responses of SOURCE, or CSV files, as if they had just been received.

    A saved response must have been asked for in US dollars: nothing in it says so. The source's
    checkpoint keeps its cursor; what is stored already stays unchanged.

    Of CSV files it says which column became what, and which are left out.
    """
    if declaration is not None and source != "csv":
        raise click.UsageError(f"--declare is for csv; {source} files need none")
    with open_worker(ctx.obj) as worker:
        worker.apply_crosswalk()
        stop_on_signals(worker)
        with show_progress() as progress:
            result = worker.load_saved(source, files, declaration, progress(source))
        worker.settle_sample()
    show_result(result)
    for note in result.notes:
        click.echo(note)
    ctx.exit(0 if result.succeeded else 1)


@main.command()
@as_json
@click.pass_obj
def status(settings: Settings, as_json: bool) -> None:
    """Show each source: its last run, its totals, how fresh its data is, and its request budget."""
    with open_worker(settings) as worker, reachable(), worker.engine.connect() as conn:
        sources, assets = report.read_sources(conn), report.count_assets(conn)
        budgets = worker.read_usage()
    if as_json:
        shown = [report.budget(usage) for usage in budgets]
        expected = report.expectations()
        show_json({"assets": assets, "sources": sources, "budgets": shown, "expected": expected})
        return
    show_table(
        sources,
        source="source",
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
    for source in sources:
        if source.error:
            click.echo(f"{source.source}: {source.error.removeprefix(f'{source.source}: ')}")
    for usage in budgets:
        click.echo(report.budget_sentence(usage))
    click.echo(f"{assets} assets")
    click.echo()
    show_table(
        [SimpleNamespace(**each) for each in report.expectations()],
        source="expected of",
        fresh_for_seconds="fresh for s",
        min_snapshot_share="snapshot share, least",
        max_reject_share="rejects, most",
        max_reject_rise="above the usual",
        max_unchanged_seconds="nothing new for s",
        min_new_share="new share, least",
        read_every_seconds="read every s",
    )


@main.command()
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many."
)
@click.option("--source", type=SOURCE, help="Only this source.")
@as_json
@click.pass_obj
def runs(settings: Settings, limit: int, source: str | None, as_json: bool) -> None:
    """Show the newest runs, newest first."""
    with open_worker(settings) as worker, reachable(), worker.engine.connect() as conn:
        rows = report.read_runs(conn, limit, source)
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
        took="took, in s",
    )


def _phases(seconds: Mapping[str, float]) -> str | None:
    """Say what each phase of a run took, in their order, where it took any time."""
    return ", ".join(f"{name} {seconds[name]:.1f}" for name in PHASES if seconds.get(name)) or None


@main.command("local")
@click.pass_context
def local_(ctx: click.Context) -> None:
    """Run everything here: the database, the worker's loop and the API, until Ctrl-C.

    What `make run` starts. It stops them in order: the worker after the batch in flight, the API,
    the database.
    """
    ctx.exit(supervisor.serve(ctx.obj))


@main.command("reprocess")
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


@main.command("verify")
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


main.add_command(checkpoint)
main.add_command(budget)
main.add_command(api_keys)
main.add_command(rejects)
main.add_command(drift)
main.add_command(identity)
main.add_command(listings)
main.add_command(prune_)
