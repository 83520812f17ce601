"""`worker rejects`: what was refused, and why; reading it again; and closing it."""

import base64
from collections.abc import Sequence
from typing import Any

import click
from sqlalchemy import Connection

from shared.model.catalogue import SOURCES
from shared.settings import Settings
from worker.app import Worker
from worker.cli.base import BY, SOURCE, Commands, as_json, login_name, open_worker, stop_on_signals
from worker.cli.show import show_json, show_progress, show_result, show_table
from worker.database.engine import reachable
from worker.ingest.batch.rejects import OpenRejects, count_rejects, dismiss
from worker.maintenance import report
from worker.maintenance.report import RejectFilter

NAMED = 20
"""How many of the records that are refused once more are shown; `list --run` shows more."""


@click.group(cls=Commands)
def rejects() -> None:
    """Show refused records, read them again, or dismiss them."""


@rejects.command("list")
@click.option("--source", type=SOURCE, help="Only this source.")
@click.option("--reason", help="Only records with this text in one of their reasons.")
@click.option("--run", "run_id", type=int, help="Only those that this run saw first, or last.")
@click.option("--resolved", "state", flag_value="resolved", help="Those that were mended since.")
@click.option("--dismissed", "state", flag_value="dismissed", help="Those that were dismissed.")
@click.option("--all", "state", flag_value="all", help="All of them.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many."
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
    """Show open rejects, those seen last first, and how many there are by kind of reason."""
    wanted = RejectFilter(source, reason, run_id, state or "open")
    with open_worker(settings) as worker, reachable(), worker.engine.connect() as conn:
        rows = report.read_rejects(conn, limit, wanted)
        counts = report.count_rejects(conn, wanted)
    if as_json:
        show_json({"counts": counts, "rejects": rows})
        return
    if not rows:
        click.echo("no open rejects; --all shows closed ones" if state is None else "no rejects")
        return
    show_table(
        counts, source="source", records="records", reason="kind of reason", example="for example"
    )
    _show_rejects(rows)


@rejects.command("show")
@click.argument("reject_id", metavar="ID", type=int)
@click.option("--payload", "only_payload", is_flag=True, help="Its bytes alone, as received.")
@as_json
@click.pass_obj
def rejects_show(settings: Settings, reject_id: int, only_payload: bool, as_json: bool) -> None:
    """Show everything about one refused record.

    With --payload, its bytes and nothing else. In JSON they are text, or base64 where they are none
    (`payload_encoding` says which).
    """
    with open_worker(settings) as worker, reachable(), worker.engine.connect() as conn:
        row = report.read_reject(conn, reject_id)
    if row is None:
        raise click.ClickException(f"reject {reject_id}: there is none; see `worker rejects list`")
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
            click.echo(f"{name:18}{value.hex() if isinstance(value, bytes) else value}")
    for reason in row.reasons:
        click.echo(f"{'reason':18}{reason}")


@rejects.command("retry")
@click.argument("ids", metavar="[ID]...", type=int, nargs=-1)
@click.option("--source", type=SOURCE, help="Only this source.")
@click.option("--reason", help="Only records with this text in one of their reasons.")
@click.option("--dry-run", is_flag=True, help="Count what would pass, and change nothing.")
@click.pass_context
def rejects_retry(
    ctx: click.Context, ids: tuple[int, ...], source: str | None, reason: str | None, dry_run: bool
) -> None:
    """Read open rejects again: all of them, or those with an ID.

    What passes by the schema of today is loaded as any record, and resolved; the others say why
    not. Values that are not readable are null, and named. The source's checkpoint keeps its cursor.
    """
    wanted = OpenRejects(ids, reason=reason)
    succeeded = True
    with open_worker(ctx.obj) as worker:
        if not dry_run:
            worker.apply_crosswalk()
        stop_on_signals(worker)
        names = _sources_of(worker, wanted, source)
        if not names:
            click.echo("no open rejects to read again")
        for name in names:
            if worker.stop.is_set():
                break
            if dry_run:
                read, passed = worker.rehearse_retry(name, wanted)
                click.echo(f"{name}: {read} rejects to read again, {passed} of them would pass")
                continue
            with show_progress() as progress:
                result = worker.retry(name, wanted, progress(name))
            show_result(result)
            for note in result.notes:
                click.echo(note)
            succeeded = succeeded and result.succeeded
            _show_refused(worker, name, result.run_id)
    ctx.exit(0 if succeeded else 1)


@rejects.command("dismiss")
@click.argument("ids", metavar="[ID]...", type=int, nargs=-1)
@click.option("--reason", required=True, help="Why; it is kept with the rejects.")
@BY
@click.option("--source", type=SOURCE, help="Only of this source.")
@click.option("--reason-like", metavar="TEXT", help="Only with this text in one of their reasons.")
@click.option("--dry-run", is_flag=True, help="Count what would be dismissed, and change nothing.")
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
    """Close open rejects for good: those with an ID, of a source, or with a text in a reason.

    A dismissed payload stays closed when it comes again. It is kept as it is; `worker prune` takes
    it out in time.
    """
    if not reason.strip():
        raise click.UsageError("--reason is empty; say why they need no attention")
    if not ids and not source and not reason_like:
        raise click.UsageError("name the rejects: an ID, --source or --reason-like")
    chosen = OpenRejects(ids, source, reason_like)
    with open_worker(settings) as worker, reachable(), worker.engine.begin() as conn:
        _require(conn, ids)
        if dry_run:
            count = count_rejects(conn, chosen)
        else:
            count = dismiss(conn, chosen, reason.strip(), by or login_name())
    click.echo(f"{count} rejects {'would be ' if dry_run else ''}dismissed")
    if count < len(ids):
        click.echo(f"{len(ids) - count} of those named are closed already, or of another kind")


def _require(conn: Connection, ids: Sequence[int]) -> None:
    missing = report.find_missing_rejects(conn, ids) if ids else []
    if missing:
        raise click.ClickException(f"no reject has the id {', '.join(map(str, missing))}")


def _sources_of(worker: Worker, wanted: OpenRejects, source: str | None) -> list[str]:
    """Name the sources with an open reject that is wanted, in their order.

    Raises:
        click.ClickException: an id is no reject's.
    """
    with reachable(), worker.engine.connect() as conn:
        _require(conn, wanted.ids)
        return [
            name
            for name in ([source] if source else SOURCES)
            if report.has_rejects(conn, name, wanted)
        ]


def _show_refused(worker: Worker, source: str, run_id: int) -> None:
    with reachable(), worker.engine.connect() as conn:
        rows = report.read_rejects(conn, NAMED, RejectFilter(source, run_id=run_id))
    if rows:
        _show_rejects(rows)
    if len(rows) == NAMED:
        click.echo(f"perhaps more of them: worker rejects list --run {run_id}")
    if source == "csv" and rows:
        click.echo("a line that is no row of its file is not read again: mend the file instead")


def _show_rejects(rows: report.Rows) -> None:
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
        dismissed_reason="dismissed for",
    )


def _text(payload: bytes) -> dict[str, str]:
    try:
        return {"payload": payload.decode(), "payload_encoding": "utf-8"}
    except UnicodeDecodeError:
        return {"payload": base64.b64encode(payload).decode(), "payload_encoding": "base64"}
