"""What the routes take that can show the past."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from marshmallow import ValidationError, post_load, validates_schema

from api.parameters import QueryString
from api.parameters.fields import Since
from api.queries.past import Moment

AHEAD = timedelta(minutes=1)
"""How far a client's clock may be ahead of this one."""


def time(description: str) -> Since:
    return Since(
        load_default=None,
        allow_none=False,
        metadata={"description": description, "example": "2026-01-31T12:00:00Z"},
    )


def known_at() -> Since:
    return time(
        "Only what was loaded by then (RFC 3339, with its zone): later corrections are left out."
    )


class MomentParameters(QueryString):
    """Parameters of every route that shows assets as they were at a time."""

    as_of = time(
        "As it was then (RFC 3339, with its zone): by each listing's newest observation until then."
    )
    known_at = known_at()

    @validates_schema
    def refuse_the_future(self, data: Mapping[str, Any], **_: Any) -> None:
        """Refuse times that have not come, and `known_at` of no time."""
        refuse_what_is_to_come(data, "as_of", "known_at")
        if data["known_at"] is not None and data["as_of"] is None:
            raise ValidationError({"known_at": ["goes with as_of; give both, or neither"]})

    @post_load
    def read_the_moment(self, loaded: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Bring the times into the terms of `queries.past`; `read_the_query` runs after it."""
        moment = Moment(loaded["as_of"], loaded["known_at"]) if loaded["as_of"] else None
        return {**loaded, "moment": moment}


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
