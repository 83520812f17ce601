"""The `worker` command and its subcommands.

Exit codes: 0 success; 1 a source failed, or `verify` found damage; 2 wrong usage or configuration;
3 the source is locked by another worker. Results go to stdout, logs to stderr.
"""

import os
from pathlib import Path

import click

from shared.logs import configure_logs
from shared.settings import Settings
from worker.cli.api_keys import api_keys
from worker.cli.base import Commands
from worker.cli.drift import drift
from worker.cli.identity import identity, listings
from worker.cli.maintenance import migrate, prune_, reprocess_, verify_
from worker.cli.rejects import rejects
from worker.cli.run import import_, run
from worker.cli.sources import budget, checkpoint
from worker.cli.status import runs, status
from worker.local import supervisor


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kasparro-etl")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Load crypto market data from CoinPaprika, CoinGecko and CSV files into Postgres.

    Settings come from the environment (see worker/README.md). Without DATABASE_URL, commands use an
    embedded PostgreSQL below .local/ and start it if it is not running. LOG_LEVEL is DEBUG, INFO,
    WARNING or ERROR.
    """
    ctx.obj = settings = Settings.from_env(os.environ, Path(".env"))
    configure_logs(settings.log_level, settings.log_format)


@main.command("local")
@click.pass_context
def local_(ctx: click.Context) -> None:
    """Run the database, the worker's loop and the API until Ctrl-C.

    `make run` calls this command. It stops the worker after its current batch, then the API,
    then the database.
    """
    ctx.exit(supervisor.serve(ctx.obj))


for command in (
    *(run, import_, status, runs, checkpoint, budget, rejects, drift, identity, listings),
    *(migrate, reprocess_, verify_, prune_, api_keys),
):
    main.add_command(command)
