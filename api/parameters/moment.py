"""What the routes take that can show the past."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from marshmallow import ValidationError, post_load, validates_schema

from api.parameters import QueryString
from api.parameters.fields import Since
from api.queries.assets.past import Moment

AHEAD = timedelta(minutes=1)
"""How far a client's clock may be ahead of this one."""


def time(description: str) -> Since:
    return Since(
        load_default=None,
        allow_none=False,
        metadata={"description": description, "example": "2026-01-31T12:00:00Z"},
    )


def known_at(more: str = "") -> Since:
    said = "Only what was loaded by then (RFC 3339, with its zone): later corrections are left out."
    return time(f"{said} {more}".rstrip())


class MomentParameters(QueryString):
    """Parameters of every route that shows assets as they were at a time."""

    as_of = time(
        "As it was then (RFC 3339, with its zone): by each listing's newest observation until then."
    )
    known_at = known_at("Without `as_of` it is as it was then, too.")

    @validates_schema
    def refuse_the_future(self, data: Mapping[str, Any], **_: Any) -> None:
        """Refuse times that have not come."""
        refuse_what_is_to_come(data, "as_of", "known_at")

    @post_load
    def read_the_moment(self, loaded: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Bring the times into the terms of `queries.past`; `read_the_query` runs after it."""
        as_of, known_at = loaded["as_of"] or loaded["known_at"], loaded["known_at"]
        return {**loaded, "moment": Moment(as_of, known_at) if as_of else None}


def refuse_what_is_to_come(data: Mapping[str, datetime | None], *names: str) -> None:
    """Refuse times after now.

    Raises:
        ValidationError: naming them.
    """
    now = datetime.now(UTC)
    reason = f"lies in the future; here it is {now:%Y-%m-%dT%H:%M:%SZ}"
    given = {name: data[name] for name in names}
    late = [name for name, at in given.items() if at is not None and at > now + AHEAD]
    if late:
        raise ValidationError({name: [reason] for name in late})
