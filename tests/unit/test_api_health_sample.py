"""`/health` says that data is the sample's while it is."""

from datetime import UTC, datetime, timedelta

import pytest

from api.queries.operations.freshness import assess

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def source(name: str, *, is_sample: bool = False, good: bool = True) -> dict[str, object]:
    """Make what is read of a source whose last run was a minute ago."""
    last = {"outcome": "succeeded" if good else "failed", "reason": None if good else "timeout"}
    return {
        "source": name,
        "now": NOW,
        "last_run": last,
        "last_success_at": NOW - MINUTE if good else None,
        "failing_since": None if good else NOW - MINUTE,
        "observed_at": NOW,
        "usually_takes": None,
        "is_sample": is_sample,
    }


@pytest.mark.parametrize(
    ("is_sample", "provider_is_good", "reason"),
    [(True, False, "sample"), (True, True, None), (False, False, None)],
)
def test_csv_warns_of_the_sample_until_a_provider_has_been_read(
    is_sample: bool, provider_is_good: bool, reason: str | None
):
    sources = [
        source("csv", is_sample=is_sample),
        source("coingecko", good=provider_is_good),
    ]

    csv, _ = assess(sources, 5 * MINUTE)["sources"]

    assert csv["reason"] == reason
    assert csv["status"] == ("warn" if reason else "pass")
    if reason:
        said = "the data is the project's sample of 2021; no provider has been read yet"
        assert csv["detail"] == said
