"""Refused records: by reason, as a list, and one with its payload."""

import re

from flask import Response, request

from api.dashboard.blueprint import bp
from api.dashboard.parameters import read_present_query
from api.dashboard.rendering import page
from api.database.pool import read
from api.parameters import QueryString, page_size
from api.parameters.operations import (
    CHOSEN_REJECT_STATES,
    RejectsParameters,
    read_id,
    reject_filters,
    write_place,
)
from api.queries.operations.rejects import (
    MOST_COUNTED,
    PREVIEW_BYTES,
    count_reasons,
    find_reject,
    find_rejects,
)
from api.request.problems import RejectNotFoundError
from api.responses.cached import Representation, cached_response
from shared.model.catalogue import SOURCES

FILTERS = ("source", "state", "reason", "run_id")

REASONS_SHOWN = 20

VALUES = re.compile("[…#]")
"""What stands for a value in a kind of reason."""


class RejectsPageParameters(RejectsParameters):
    """Parameters of the page: those of `GET /rejects`."""

    page_size = page_size(20, 100, "rejects")


REJECTS, REJECT = RejectsPageParameters(), QueryString()


@bp.get("/rejects")
def rejects() -> Response:
    """Show the refused records that the query string asks for."""
    return cached_response(show_rejects)


def show_rejects() -> Representation:
    """Find a page of the records, count them by reason on the first page, and make the page."""
    query = read_present_query(REJECTS, request.query_string)
    filters = reject_filters(query)
    with read() as conn:
        found = find_rejects(conn, filters, query["page_size"], query["before"])
        is_first = query["before"] is None
        reasons = count_reasons(conn, filters, REASONS_SHOWN + 1) if is_first else ()
    return page(
        "quality/rejects",
        part_of="quality",
        rows=len(found.rows),
        data_at=max((row["last_seen_at"] for row in found.rows), default=None),
        rejects=found.rows,
        total=found.total,
        reasons=reasons[:REASONS_SHOWN],
        most_counted=MOST_COUNTED,
        has_more_reasons=len(reasons) > REASONS_SHOWN,
        fragment_of=fragment_of,
        next_cursor=write_place(found.end, query["digest"]),
        preview_bytes=PREVIEW_BYTES,
        filters=FILTERS,
        state=query["state"],
        states=CHOSEN_REJECT_STATES,
        sources=SOURCES,
        is_filtered=any(query[name] for name in FILTERS if name != "state"),
    )


def fragment_of(reason: str) -> str:
    """Return the longest part of a kind of reason that its reasons have as it is."""
    return max(VALUES.split(reason), key=len).strip()


@bp.get("/rejects/<reject_id>")
def reject(reject_id: str) -> Response:
    """Show one refused record."""
    return cached_response(lambda: show_reject(reject_id))


def show_reject(reject_id: str) -> Representation:
    """Find the record, and make the page."""
    read_present_query(REJECT, request.query_string)
    with read() as conn:
        found = find_reject(conn, read_id(reject_id, RejectNotFoundError))
    if found is None:
        raise RejectNotFoundError(f"no reject {reject_id!r}; the page of rejects lists them")
    return page("quality/reject", part_of="quality", data_at=found["last_seen_at"], reject=found)
