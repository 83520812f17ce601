"""What the routes that show the loading take: runs, rejects and drift."""

import re
from dataclasses import astuple
from datetime import datetime
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate
from werkzeug.exceptions import NotFound

from api.parameters import Count, NameList, QueryString, SourceList, page_size
from api.parameters.fields import Since
from api.queries.assets import cursors
from shared.model.runs import OUTCOMES, REJECT_STATES

COMMANDS = ("run", "import", "retry")


def read_id(text: str, missing: type[NotFound]) -> int:
    """Read the id that a path ends with.

    Raises:
        missing: it is none that anything could have.
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
    """Parameters of every route that shows the loading of some sources, or of all."""

    source: NameList = SourceList(
        load_default=(), metadata={"description": "Only these sources.", "example": ["coingecko"]}
    )


class PagedParameters(OfSources):
    """Parameters of lists that are paged by id, the newest first."""

    page_size = page_size(50, 200, "entries")
    cursor = fields.String(
        load_default=None,
        allow_none=False,
        metadata={
            "description": "Where the page starts: `meta.next_cursor` of the page before it, with "
            "the same filters.",
            "example": "WyI4ZjE0ZTQ1ZmNlZWExNjdhIiwyMF0",
        },
    )

    @post_load
    def read_the_cursor(self, loaded: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Say below which id the page starts, and what binds a cursor to this query."""
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
        """Read where a page starts from the parts of its cursor.

        Raises:
            ValueError, TypeError, OverflowError: they are not of a cursor of this list.
        """
        [before] = parts
        return cursors.read_integer(before)


def write_place(before: Any, digest: str) -> str | None:
    """Write where the next page starts as a cursor; None where there is none."""
    if before is None:
        return None
    parts = [before] if isinstance(before, int) else [*map(_plain, astuple(before))]
    return cursors.pack([digest, *parts])


def _plain(part: Any) -> Any:
    return str(part) if isinstance(part, datetime) else part


def unpack_place(cursor: str, digest: str) -> list[Any]:
    """Read the parts that `write_place` wrote.

    Raises:
        CursorError: it was cut or changed, or belongs to a query with other filters.
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
        metadata={"description": "Only runs that ended so.", "example": ["partial", "failed"]},
    )
    command = command_parameter()
    started_since = instant_parameter("Only runs that started then or later.")
    started_before = instant_parameter("Only runs that started before.")


class CompareParameters(QueryString):
    """Parameters of `GET /runs/compare`."""

    a = run_parameter(
        "The id of the run to compare with, usually the earlier one.", 1, required=True
    )
    b = run_parameter("The id of the run that is compared.", 2, required=True)
    limit = Count(
        load_default=20,
        validate=validate.Range(1, 100),
        metadata={"description": "How many assets each list names at most; all are counted."},
    )

    @post_load
    def refuse_one_with_itself(self, loaded: dict[str, Any], **_: Any) -> dict[str, Any]:
        if loaded["a"] == loaded["b"]:
            raise ValidationError({"b": ["is the same run as a; expected another of its source"]})
        return loaded


class AnomaliesParameters(OfSources):
    """Parameters of `GET /runs/anomalies`."""

    since = instant_parameter("Only runs that started then or later.")
    before = run_parameter(
        "Only runs with a lower id: to go on after `examined.oldest_run_id`.", load_default=None
    )
    limit = Count(
        load_default=200,
        validate=validate.Range(1, 1000),
        metadata={"description": "How many runs are examined, the newest first."},
    )


class RunDaysParameters(OfSources):
    """Parameters of `GET /runs/days`."""

    days = Count(
        load_default=90,
        validate=validate.Range(1, 366),
        metadata={"description": "How many days are shown, in UTC; today is the last."},
    )
    command = command_parameter()


class ChosenRejectsParameters(QueryString):
    """Parameters of every route that shows some of the rejects."""

    state = fields.String(
        load_default="open",
        validate=validate.OneOf([*REJECT_STATES, "all"]),
        metadata={
            "description": "Those that are refused still, passed since, were dismissed, or all."
        },
    )
    reason = fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.Length(1, 200),
        metadata={
            "description": "Only those with this text in one of their reasons.",
            "example": "negative",
        },
    )
    run_id = run_parameter("Only those that this run saw first, or last.", load_default=None)


class RejectsParameters(ChosenRejectsParameters, PagedParameters):
    """Parameters of `GET /rejects`."""


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
        validate=validate.OneOf(["open", "acknowledged", "all"]),
        metadata={"description": "What nobody has acknowledged, what somebody has, or both."},
    )
