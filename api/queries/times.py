"""Times with a zone, as clients write them."""

from datetime import UTC, datetime, timedelta

MOST_OFFSET = timedelta(hours=15, minutes=59)
"""From UTC: Postgres refuses more, and no place on Earth has as much."""

ZONE = r"(Z|[+-](0[0-9]|1[0-5]):[0-5][0-9])$"
"""How a time with such an offset ends."""


def in_utc(moment: datetime) -> datetime:
    """Bring a time into UTC.

    Raises:
        ValueError: it has no zone, one that is too far off, or lies beyond the calendar there.
    """
    offset = moment.utcoffset()
    if offset is None:
        raise ValueError("has no zone")
    if abs(offset) > MOST_OFFSET:
        raise ValueError("has a zone that is more than 15:59 from UTC")
    try:
        return moment.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError("is out of range") from exc
