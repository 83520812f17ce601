"""`worker rejects`: show refused records, read them again, close them."""

import base64
from collections.abc import Sequence
from typing import Any

import click
from sqlalchemy import Connection

from shared.model.catalogue import SOURCES
from shared.settings import Settings
from worker.app import Worker
from worker.cli.base import BY, SOURCE, Commands, as_json, login_name, open_worker
from worker.cli.output import format_cell, show_json, show_progress, show_result, show_table
from worker.database.engine import reachable
from worker.ingest.batch.rejects import OpenRejects, count_rejects, dismiss
from worker.maintenance import status_queries
from worker.maintenance.retry import Retried
from worker.maintenance.status_queries import RejectFilter
from worker.stopping import stop_on_signals

MAX_SHOWN = 20
"""How many records that are refused again `retry` shows; `list` shows more."""


@click.group(cls=Commands)
def rejects() -> None:
    """Show, retry or dismiss refused records."""


@rejects.command("list")
@click.option("--source", type=SOURCE, help="Select only this source.")
@click.option("--reason", help="Select only records with this text in a reason.")
@click.option(
    "--run", "run_id", type=int, help="Select only records first or last seen by this run."
)
@click.option("--resolved", "state", flag_value="resolved", help="Show resolved rejects.")
@click.option("--dismissed", "state", flag_value="dismissed", help="Show dismissed rejects.")
@click.option("--all", "state", flag_value="all", help="Show open and closed rejects.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Number of rows."
)
@as_json
@click.pass_obj
def rejects_list(  # noqa: PLR0913, PLR0917 -- one for each option
    settings: Settings,
    source: str | None,
    reason: str | None,
    run_id: int | None,
    state: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show open rejects, the most recent first, and their number by kind of reason."""
    query = RejectFilter(source, reason, run_id, state or "open")
    with open_worker(settings) as worker, reachable(), worker.engine.connect() as conn:
        rows = status_queries.read_rejects(conn, limit, query)
        counts = status_queries.count_rejects(conn, query)
    if as_json:
        show_json({"counts": counts, "rejects": rows})
        return
    if not rows:
        click.echo("no open rejects; --all shows closed ones" if state is None else "no rejects")
        return
    show_table(
        counts, source="source", records="records", reason="kind of reason", example="example"
    )
    click.echo()
    _show_rejects(rows)


@rejects.command("show")
@click.argument("reject_id", metavar="ID", type=int)
@click.option("--payload", "only_payload", is_flag=True, help="Print only its bytes, as received.")
@as_json
@click.pass_obj
def rejects_show(settings: Settings, reject_id: int, only_payload: bool, as_json: bool) -> None:
    """Show one refused record.

    In JSON the payload is text, or base64 if it is not valid UTF-8 (see `payload_encoding`).
    """
    with open_worker(settings) as worker, reachable(), worker.engine.connect() as conn:
        row = status_queries.read_reject(conn, reject_id)
    if row is None:
        raise click.ClickException(f"reject {reject_id}: not found; see `worker rejects list`")
    payload = bytes(row.payload)
    if only_payload:
        click.echo(payload, nl=False)
        return
    shown: dict[str, Any] = {**row._asdict(), **_text(payload)}
    if as_json:
        show_json(shown)
        return
    for name, value in shown.items():
        if name != "reasons":
            click.echo(f"{name:18}{format_cell(value)}")
    for reason in row.reasons:
        click.echo(f"{'reason':18}{reason}")


@rejects.command("retry")
@click.argument("ids", metavar="[ID]...", type=int, nargs=-1)
@click.option("--source", type=SOURCE, help="Select only this source.")
@click.option("--reason", help="Select only records with this text in a reason.")
@click.option("--dry-run", is_flag=True, help="Count the records that would pass; change nothing.")
@click.pass_context
def rejects_retry(
    ctx: click.Context, ids: tuple[int, ...], source: str | None, reason: str | None, dry_run: bool
) -> None:
    """Read open rejects again, all or those with the given IDs, and load those that pass.

    A record that passes the current schema is loaded and resolved. For the others the command
    shows the reasons; they are not counted again. If no record of a source passes, the exit code
    is 1. Unreadable values are loaded as null and listed. The source's checkpoint keeps its cursor.
    """
    query = OpenRejects(ids, reason=reason)
    succeeded = True
    with open_worker(ctx.obj) as worker, stop_on_signals(worker.stop):
        if not dry_run:
            worker.apply_crosswalk()
        names = _sources_of(worker, query, source)
        if not names:
            click.echo("no open rejects")
        for name in names:
            if worker.stop.is_set():
                break
            if dry_run:
                read, passed = worker.preview_retry(name, query)
                click.echo(f"{name}: {passed} of {read} rejects would pass")
                continue
            with show_progress() as progress:
                retried = worker.retry(name, query, progress(name))
            show_result(retried)
            for note in retried.notes:
                click.echo(note)
            succeeded = succeeded and retried.succeeded
            _show_refused(worker, retried)
    ctx.exit(0 if succeeded else 1)


@rejects.command("dismiss")
@click.argument("ids", metavar="[ID]...", type=int, nargs=-1)
@click.option("--reason", required=True, help="Reason, stored with the rejects.")
@BY
@click.option("--source", type=SOURCE, help="Select only this source.")
@click.option("--reason-like", metavar="TEXT", help="Select only records with TEXT in a reason.")
@click.option("--dry-run", is_flag=True, help="Count what would be dismissed; change nothing.")
@click.pass_obj
def rejects_dismiss(  # noqa: PLR0913, PLR0917 -- one for each option
    settings: Settings,
    ids: tuple[int, ...],
    reason: str,
    by: str | None,
    source: str | None,
    reason_like: str | None,
    dry_run: bool,
) -> None:
    """Close open rejects, selected by ID, by source or by a text in a reason.

    A dismissed payload stays closed if it is received again. It stays stored until `worker prune`
    removes it.
    """
    if not reason.strip():
        raise click.UsageError("--reason is empty; expected a reason")
    if not ids and not source and not reason_like:
        raise click.UsageError("select the rejects by ID, --source or --reason-like")
    query = OpenRejects(ids, source, reason_like)
    with open_worker(settings) as worker, reachable(), worker.engine.begin() as conn:
        _require_rejects(conn, ids)
        if dry_run:
            count = count_rejects(conn, query)
        else:
            count = dismiss(conn, query, reason.strip(), by or login_name())
    noun = "reject" if count == 1 else "rejects"
    click.echo(f"{count} {noun} {'would be ' if dry_run else ''}dismissed")
    if count < len(ids):
        click.echo(f"{len(ids) - count} of the given IDs are already closed or do not match")


def _require_rejects(conn: Connection, ids: Sequence[int]) -> None:
    missing = status_queries.find_missing_rejects(conn, ids) if ids else []
    if missing:
        raise click.ClickException(f"no reject has the id {', '.join(map(str, missing))}")


def _sources_of(worker: Worker, query: OpenRejects, source: str | None) -> list[str]:
    """Return the sources that have matching open rejects, in their usual order.

    Raises:
        click.ClickException: no reject has one of the IDs.
    """
    with reachable(), worker.engine.connect() as conn:
        _require_rejects(conn, query.ids)
        return [
            name
            for name in ([source] if source else SOURCES)
            if status_queries.has_rejects(conn, name, query)
        ]


def _show_refused(worker: Worker, retried: Retried) -> None:
    ids = [*retried.refused, *retried.unreadable]
    if not ids:
        return
    with reachable(), worker.engine.connect() as conn:
        query = RejectFilter(retried.source, ids=ids[:MAX_SHOWN])
        _show_rejects(status_queries.read_rejects(conn, MAX_SHOWN, query))
    if len(ids) > MAX_SHOWN:
        click.echo(f"for a complete list run `worker rejects list --source {retried.source}`")
    if retried.unreadable:
        click.echo(
            f"{len(retried.unreadable)} of them could not be split into the columns of their file, "
            "so only their bytes are stored; correct the file and load it again"
        )


def _show_rejects(rows: status_queries.Rows) -> None:
    show_table(
        rows,
        id="reject",
        source="source",
        external_id="external id",
        position="position",
        reasons="reasons",
        times_seen="seen",
        last_seen_at="last seen",
        resolved_at="closed",
        dismissed_reason="reason of dismissal",
    )


def _text(payload: bytes) -> dict[str, str]:
    try:
        return {"payload": payload.decode(), "payload_encoding": "utf-8"}
    except UnicodeDecodeError:
        return {"payload": base64.b64encode(payload).decode(), "payload_encoding": "base64"}
