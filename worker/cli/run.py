"""`worker run` and `worker import`: read sources, or saved responses, and load them."""

from collections.abc import Sequence
from pathlib import Path

import click

from shared.settings import Settings
from worker.app import Worker, database
from worker.cli.base import FILE, SOURCE, open_worker, stop_on_signals
from worker.cli.show import show_progress, show_result
from worker.ingest import loop
from worker.maintenance.migrate import upgrade


@click.command("run")
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


@click.command("import")
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
