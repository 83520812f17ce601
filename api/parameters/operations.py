"""Parameters of the routes that show runs, rejects and drift."""

import re
from collections.abc import Mapping
from dataclasses import astuple
from datetime import datetime
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate
from werkzeug.exceptions import NotFound

from api.parameters import Count, NameList, QueryString, SourceList, page_size
from api.parameters.fields import Since
from api.queries.assets import cursors
from api.queries.operations.rejects import RejectFilters
from api.queries.operations.runs import RunFilters
from shared.model.runs import OUTCOMES, REJECT_STATES

COMMANDS = ("run", "import", "retry")
DRIFT_STATES = ("open", "acknowledged", "all")
CHOSEN_REJECT_STATES = (*REJECT_STATES, "all")


def read_id(text: str, missing: type[NotFound]) -> int:
    """Read the id at the end of a path.

    Raises:
        missing: the text is not a valid id.
    """
    if not re.fullmatch("[0-9]{1,18}", text, re.ASCII):
        raise missing(f"no id {text[:80]!r}; expected a whole number")
    return int(text)


def instant_parameter(description: str) -> Since:
    metadata = {"description": description, "example": "2026-01-31T12:00:00Z"}
    return Since(load_default=None, allow_none=False, metadata=metadata)


def run_parameter(description: str, example: int = 42, **options: Any) -> Count:
    metadata = {"description": description, "example": example}
    return Count(allow_none=False, metadata=metadata, **options)


def command_parameter() -> fields.String:
    return fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.OneOf(COMMANDS),
        metadata={"description": "Only runs of this command."},
    )


class OfSources(QueryString):
    """Parameters of routes that can be limited to some sources."""

    source: NameList = SourceList(
        load_default=(), metadata={"description": "Only these sources.", "example": ["coingecko"]}
    )


class PagedParameters(OfSources):
    """Parameters of lists that are paged by id, newest first."""

    page_size = page_size(50, 200, "entries")
    cursor = fields.String(
        load_default=None,
        allow_none=False,
        metadata={
            "description": "The start of the page: `meta.next_cursor` of the previous page, with "
            "the same filters.",
            "example": "WyI4ZjE0ZTQ1ZmNlZWExNjdhIiwyMF0",
        },
    )

    @post_load
    def read_the_cursor(self, loaded: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Add `before`, the id below which the page starts, and the digest for cursors."""
        filters = {k: v for k, v in loaded.items() if k not in {"cursor", "page_size"}}
        digest = cursors.digest({"of": type(self).__name__, **filters})
        query = {**loaded, "digest": digest, "before": None}
        if loaded["cursor"] is not None:
            try:
                query["before"] = self.read_place(*unpack_place(loaded["cursor"], digest))
            except cursors.CursorError as exc:
                raise ValidationError({"cursor": [f"{exc}; start again without it"]}) from exc
            except (ValueError, TypeError, OverflowError) as exc:
                raise ValidationError({"cursor": ["malformed; start again without it"]}) from exc
        return query

    def read_place(self, *parts: Any) -> Any:
        """Decode the start of a page from the parts of its cursor.

        Raises:
            ValueError, TypeError, OverflowError: the parts do not belong to this list.
        """
        [before] = parts
        return cursors.read_integer(before)


def write_place(before: Any, digest: str) -> str | None:
    """Encode the start of the next page as a cursor; None if this page is the last."""
    if before is None:
        return None
    parts = [before] if isinstance(before, int) else [*map(_plain, astuple(before))]
    return cursors.pack([digest, *parts])


def _plain(part: Any) -> Any:
    return str(part) if isinstance(part, datetime) else part


def unpack_place(cursor: str, digest: str) -> list[Any]:
    """Decode a cursor of `write_place` to its parts.

    Raises:
        CursorError: it is malformed, or belongs to a query with other filters.
    """
    made_for, *place = cursors.unpack(cursor)
    if made_for != digest:
        raise cursors.CursorError("belongs to a query with other filters")
    return place


class RunsParameters(PagedParameters):
    """Parameters of `GET /runs`."""

    outcome = NameList(
        "outcome",
        ("running", *OUTCOMES),
        load_default=(),
        metadata={
            "description": "Only runs with one of these outcomes.",
            "example": ["partial", "failed"],
        },
    )
    command = command_parameter()
    started_since = instant_parameter("Only runs that started at this time or later.")
    started_before = instant_parameter("Only runs that started before this time.")


def run_filters(query: Mapping[str, Any]) -> RunFilters:
    """Return the filters of a query that `RunsParameters` loaded."""
    return RunFilters(
        query["source"],
        query["outcome"],
        query["command"],
        query["started_since"],
        query["started_before"],
    )


class CompareParameters(QueryString):
    """Parameters of `GET /runs/compare`."""

    a = run_parameter("The id of the first run, usually the earlier one.", 1, required=True)
    b = run_parameter("The id of the second run.", 2, required=True)
    limit = Count(
        load_default=20,
        validate=validate.Range(1, 100),
        metadata={"description": "Maximum number of listings in each list; `total` counts all."},
    )

    @post_load
    def refuse_one_with_itself(self, loaded: dict[str, Any], **_: Any) -> dict[str, Any]:
        if loaded["a"] == loaded["b"]:
            raise ValidationError({"b": ["is the same run as a; expected another run"]})
        return loaded


class AnomaliesParameters(OfSources):
    """Parameters of `GET /runs/anomalies`."""

    since = instant_parameter("Only runs that started at this time or later.")
    before = run_parameter(
        "Only runs with a lower id. To continue, pass `examined.oldest_run_id`.", load_default=None
    )
    limit = Count(
        load_default=200,
        validate=validate.Range(1, 1000),
        metadata={"description": "The number of runs to examine, newest first."},
    )


class RunDaysParameters(OfSources):
    """Parameters of `GET /runs/days`."""

    days = Count(
        load_default=90,
        validate=validate.Range(1, 366),
        metadata={"description": "The number of days (UTC) to show; the last one is today."},
    )
    command = command_parameter()


class ChosenRejectsParameters(QueryString):
    """Parameters of every route that shows some of the rejects."""

    state = fields.String(
        load_default="open",
        validate=validate.OneOf(CHOSEN_REJECT_STATES),
        metadata={
            "description": "Only rejects in this state: open, accepted since, dismissed, or all."
        },
    )
    reason = fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.Length(1, 200),
        metadata={
            "description": "Only rejects with this text in one of their reasons.",
            "example": "negative",
        },
    )
    run_id = run_parameter("Only rejects that this run saw first or last.", load_default=None)


class RejectsParameters(ChosenRejectsParameters, PagedParameters):
    """Parameters of `GET /rejects`."""


def reject_filters(query: Mapping[str, Any]) -> RejectFilters:
    """Return the filters of a query that a schema of `ChosenRejectsParameters` loaded."""
    return RejectFilters(query["source"], query["state"], query["reason"], query["run_id"])


class RejectReasonsParameters(ChosenRejectsParameters, OfSources):
    """Parameters of `GET /rejects/reasons`."""

    limit = Count(
        load_default=50,
        validate=validate.Range(1, 200),
        metadata={"description": "How many reasons are shown at most."},
    )


class DriftParameters(PagedParameters):
    """Parameters of `GET /drift`."""

    state = fields.String(
        load_default="open",
        validate=validate.OneOf(DRIFT_STATES),
        metadata={"description": "Only drift in this state, or all."},
    )
