"""Parameters of the routes that can show the past."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from marshmallow import ValidationError, post_load, validates_schema

from api.parameters import QueryString
from api.parameters.fields import Since
from api.queries.assets.past import Moment

CLOCK_TOLERANCE = timedelta(minutes=1)
"""How far a client's clock may be ahead of the server's."""


def time(description: str) -> Since:
    return Since(
        load_default=None,
        allow_none=False,
        metadata={"description": description, "example": "2026-01-31T12:00:00Z"},
    )


def known_at(more: str = "") -> Since:
    text = (
        "Only data that was loaded by this time (RFC 3339, with its offset). Later corrections are "
        "left out."
    )
    return time(f"{text} {more}".rstrip())


class MomentParameters(QueryString):
    """Parameters of routes that show assets as of a time."""

    as_of = time(
        "The state at this time (RFC 3339, with its offset): each listing's newest observation "
        "until then."
    )
    known_at = known_at("Without `as_of`, the state is also of this time.")

    @validates_schema
    def refuse_the_future(self, data: Mapping[str, Any], **_: Any) -> None:
        refuse_future_times(data, "as_of", "known_at")

    @post_load
    def read_the_moment(self, loaded: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Convert the times to a `Moment`, for `read_the_query`, which runs later."""
        as_of, known_at = loaded["as_of"] or loaded["known_at"], loaded["known_at"]
        return {**loaded, "moment": Moment(as_of, known_at) if as_of else None}


def refuse_future_times(data: Mapping[str, datetime | None], *names: str) -> None:
    """Refuse parameters whose time is in the future.

    Raises:
        ValidationError: at least one is; it names all of them.
    """
    now = datetime.now(UTC)
    reason = f"is in the future; the server's time is {now:%Y-%m-%dT%H:%M:%SZ}"
    times = {name: data[name] for name in names}
    future = [name for name, at in times.items() if at is not None and at > now + CLOCK_TOLERANCE]
    if future:
        raise ValidationError({name: [reason] for name in future})
