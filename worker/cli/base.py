"""Shared by all commands: options, exit codes for errors, and the worker."""

import getpass
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

BY = click.option(
    "--by", metavar="NAME", help="Name of the person who decides.  [default: the login name]"
)

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")


class WrongUsage(click.ClickException):
    exit_code = 2


class Locked(click.ClickException):
    exit_code = 3


class Commands(click.Group):
    """Turn errors of the commands into a message and an exit code, without a traceback."""

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
    """Yield a worker whose database has the schema that this code requires.

    An embedded database is migrated first.
    """
    with database(settings) as url:
        if settings.database_url is None:
            upgrade(url)
        worker = Worker(settings, url)
        worker.require_schema()
        yield worker


def login_name() -> str:
    """Return the login name, which is recorded with a decision.

    Raises:
        click.UsageError: the process has no login name.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError) as exc:
        raise click.UsageError("no login name found; set --by NAME") from exc
