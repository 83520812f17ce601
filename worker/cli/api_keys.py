"""`worker api-keys`: the keys of the API's clients."""

import re
from datetime import timedelta

import click

from shared.model.keys import SCOPES, make_key
from shared.settings import Settings
from worker.cli.base import Commands, as_json, open_worker
from worker.cli.output import show_json, show_table
from worker.database.engine import reachable
from worker.maintenance.keys import insert_key, read_keys, revoke_key

MOST_DAYS = 3650


def check_name(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """Accept only names that are safe to print in logs."""
    if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]{0,63}", value, re.ASCII):
        raise click.BadParameter("expected up to 64 letters, digits, dots, dashes, underscores")
    return value


@click.group("api-keys", cls=Commands)
def api_keys() -> None:
    """Create, list and revoke API keys."""


@api_keys.command("create")
@click.argument("name", callback=check_name)
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(tuple(SCOPES)),
    multiple=True,
    help="Scope of the key; repeatable.  [default: data]",
)
@click.option(
    "--expires-in-days",
    "days",
    type=click.IntRange(1, MOST_DAYS),
    help="Days until the key expires.  [default: never]",
)
@click.option("--dry-run", is_flag=True, help="Show what would be created; change nothing.")
@click.pass_obj
def api_keys_create(
    settings: Settings, name: str, scopes: tuple[str, ...], days: int | None, dry_run: bool
) -> None:
    """Create a key called NAME and print it once: only its hash is stored.

    The key alone goes to stdout, its description to stderr.
    """
    granted = [scope for scope in SCOPES if scope in (scopes or ("data",))]
    key = make_key()
    lifetime = timedelta(days=days) if days else None
    with open_worker(settings) as worker, reachable(), worker.engine.connect() as conn:
        if not insert_key(conn, name, key, granted, lifetime):
            raise click.ClickException(
                f"key {name!r} already exists; use another name (a revoked key keeps its name)"
            )
        if dry_run:
            conn.rollback()
        else:
            conn.commit()
    until = f"valid for {days} days" if days else "valid until it is revoked"
    verb = "would be created" if dry_run else "created"
    click.echo(f"{name}: {verb}, scopes: {', '.join(granted)}; {until}", err=True)
    if not dry_run:
        click.echo(key)


@api_keys.command("list")
@as_json
@click.pass_obj
def api_keys_list(settings: Settings, as_json: bool) -> None:
    """Show the names, scopes and times of all keys; the keys themselves are not stored."""
    with open_worker(settings) as worker, reachable(), worker.engine.connect() as conn:
        rows = read_keys(conn)
    if as_json:
        show_json(rows)
        return
    if not rows:
        click.echo("no keys")
        return
    show_table(
        rows,
        name="name",
        state="state",
        scopes="scopes",
        created_at="created",
        expires_at="expires",
        revoked_at="revoked",
    )


@api_keys.command("revoke")
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Show what would be revoked; change nothing.")
@click.pass_obj
def api_keys_revoke(settings: Settings, name: str, dry_run: bool) -> None:
    """Revoke the key called NAME permanently; the API refuses it within a second."""
    with open_worker(settings) as worker, reachable(), worker.engine.connect() as conn:
        if not revoke_key(conn, name):
            raise click.ClickException(f"no key {name!r} to revoke; see `worker api-keys list`")
        if dry_run:
            conn.rollback()
        else:
            conn.commit()
    click.echo(f"{name}: {'would be revoked' if dry_run else 'revoked'}")
