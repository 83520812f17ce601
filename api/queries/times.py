"""Times with an offset, as clients write them."""

from datetime import UTC, datetime, timedelta

MOST_OFFSET = timedelta(hours=15, minutes=59)
"""Maximum distance from UTC. Postgres refuses more, and no time zone has as much."""

ZONE = r"(Z|[+-](0[0-9]|1[0-5]):[0-5][0-9])$"
"""The offset at the end of a time."""


def in_utc(moment: datetime) -> datetime:
    """Convert a time to UTC.

    Raises:
        ValueError: it has no offset, its offset is too large, or it exceeds the calendar.
    """
    offset = moment.utcoffset()
    if offset is None:
        raise ValueError("has no offset from UTC")
    if abs(offset) > MOST_OFFSET:
        raise ValueError("has an offset of more than 15:59 from UTC")
    try:
        return moment.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError("is out of range") from exc
