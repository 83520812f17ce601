"""`worker run` and `worker import`: read sources, or saved responses, and load them."""

from collections.abc import Sequence
from pathlib import Path

import click

from shared.settings import Settings
from worker.app import Worker, database
from worker.cli.base import FILE, SOURCE, open_worker
from worker.cli.output import show_progress, show_result
from worker.ingest import loop
from worker.maintenance.migrate import upgrade
from worker.stopping import stop_on_signals


@click.command("run")
@click.option("--once", is_flag=True, help="Read each source once, then exit.")
@click.option(
    "--source", "names", type=SOURCE, multiple=True, help="Read only this source; repeatable."
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
    """Read the sources and load new records, every --interval seconds or --once.

    Lists of contracts (coingecko_coins, coinpaprika_contracts) are read once a day. To read one
    sooner, name it with --once --source.

    SIGTERM and Ctrl-C stop the command after committing the current batch.
    """
    settings = ctx.obj.replace(batch_size=batch_size, run_interval_seconds=interval)
    sources = names or settings.sources
    if not once:
        _run_forever(settings, sources)
        return
    with (
        open_worker(settings) as worker,
        stop_on_signals(worker.stop),
        show_progress() as progress,
    ):
        worker.apply_crosswalk()
        run_source = worker.run if names else worker.run_if_due
        done = loop.run_once(
            sources,
            lambda name: run_source(name, progress(name)),
            worker.stop,
            worker.provider_of,
        )
        if not done.fatal:
            worker.update_sample()
    for result in done.results:
        show_result(result)
    for error in [*done.locked, *done.refused]:
        click.echo(f"Error: {error}", err=True)
    done.raise_fatal()
    ctx.exit(done.exit_code)


def _run_forever(settings: Settings, sources: Sequence[str]) -> None:
    """Read the sources in a loop until stopped; wait while the database cannot be reached."""
    with database(settings) as url:
        if settings.database_url is None:
            upgrade(url)
        worker = Worker(settings, url)
        worker.read_crosswalk()

        runner = loop.PassRunner(worker.run_in_loop, worker.stop, worker.provider_of)
        is_first = True

        def one_pass() -> None:
            nonlocal is_first
            worker.require_schema()
            if is_first:
                worker.apply_crosswalk()
                worker.warn_of_budgets(sources)
                is_first = False
            worker.update_sample()
            runner.run_pass(sources).raise_fatal()
            worker.metrics.record_pass()

        with (
            stop_on_signals(worker.stop),
            worker.metrics.serving(settings.metrics_host, settings.metrics_port),
        ):
            try:
                loop.run_forever(one_pass, settings.run_interval_seconds, worker.stop)
            finally:
                worker.stop.set()
                runner.close()


@click.command("import")
@click.argument("source", type=SOURCE)
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--declare",
    "declaration",
    type=FILE,
    help="Declaration of the CSV files, instead of the .toml file beside each.",
)
@click.pass_context
def import_(
    ctx: click.Context, source: str, files: tuple[Path, ...], declaration: Path | None
) -> None:
    """Load saved responses of SOURCE, or CSV files, as if they had just been received.

    A saved response must have been requested in US dollars: it does not name its currency. The
    import does not move the source's cursor. Records that are already stored stay unchanged.

    For CSV files, the command prints the meaning of each column and the ignored columns.
    """
    if declaration is not None and source != "csv":
        raise click.UsageError(f"--declare is for csv; {source} files need no declaration")
    with open_worker(ctx.obj) as worker, stop_on_signals(worker.stop):
        worker.apply_crosswalk()
        with show_progress() as progress:
            result = worker.load_saved(source, files, declaration, progress(source))
        worker.update_sample()
    show_result(result)
    for note in result.notes:
        click.echo(note)
    ctx.exit(0 if result.succeeded else 1)
