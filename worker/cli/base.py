"""What the commands share: errors with exit codes, options, and a worker to work with."""

import getpass
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from shared.errors import (
    ConfigurationError,
    LockedError,
    MarketDataError,
    SchemaVersionError,
)
from shared.model.catalogue import LISTING_SOURCES, SOURCES
from shared.settings import Settings
from worker.app import Worker, database
from worker.maintenance.migrate import upgrade

SOURCE = click.Choice(SOURCES)
LISTING_SOURCE = click.Choice(LISTING_SOURCES)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

BY = click.option("--by", metavar="NAME", help="Who decides.  [default: the login name]")

as_json = click.option("--json", "as_json", is_flag=True, help="JSON on stdout, for programs.")


class WrongUsage(click.ClickException):
    """The program cannot do this as it is configured."""

    exit_code = 2


class Locked(click.ClickException):
    """Another worker is at the source."""

    exit_code = 3


class Commands(click.Group):
    """A group whose commands end with a message and an exit code, not with a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LockedError as exc:
            raise Locked(str(exc)) from exc
        except (ConfigurationError, SchemaVersionError) as exc:
            raise WrongUsage(str(exc)) from exc
        except MarketDataError as exc:
            raise click.ClickException(str(exc)) from exc


@contextmanager
def open_worker(settings: Settings) -> Iterator[Worker]:
    """Put a worker together on a database with the schema of this code."""
    with database(settings) as url:
        if settings.database_url is None:
            upgrade(url)
        worker = Worker(settings, url)
        worker.require_schema()
        yield worker


def login_name() -> str:
    """Name who is logged in, for a decision that says who made it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError) as exc:
        raise click.UsageError("nobody is logged in here; say who decides: --by NAME") from exc


def stop_on_signals(worker: Worker) -> None:
    """Let SIGTERM and Ctrl-C end what the worker does after the batch in flight."""

    def stop(*_: object) -> None:
        worker.stop.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
