"""Retentions that end at a date of a test's own, whatever today is."""

from datetime import UTC, datetime, timedelta

SINCE_2020 = datetime(2020, 1, 1, tzinfo=UTC)


def retention_from(at: datetime) -> timedelta:
    """Return the retention that keeps what was observed at a time or later."""
    return datetime.now(UTC) - at
