"""The health of the sources: `pass`, `warn` or `fail`, with reason and start time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.model.catalogue import EXPECTATIONS, LIVE_SOURCES
from shared.model.expectations import LONG_OVERDUE, Expectations

WORSE = ("pass", "warn", "fail")


@dataclass(frozen=True, slots=True)
class Trouble:
    """One problem of a source. `reason` is a stable code."""

    status: str
    reason: str
    detail: str
    since: datetime | None


def assess(sources: Sequence[Mapping[str, Any]], interval: timedelta) -> dict[str, Any]:
    """Assess each source; the overall status is the worst.

    A pass of the loop takes the interval plus the usual duration of all sources' runs.
    """
    pass_length = _pass_length(sources, interval)
    sample = shows_sample(sources)
    assessed = [
        assess_source(
            {**each, "shows_sample": each.get("is_sample") and sample},
            EXPECTATIONS[each["source"]],
            pass_length,
        )
        for each in sources
    ]
    return {
        "status": _worst(each["status"] for each in assessed),
        "database": {"status": "pass"},
        "sources": assessed,
    }


def shows_sample(sources: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the data is the project's sample, because no provider has been read yet."""
    live = any(each["last_success_at"] for each in sources if each["source"] in LIVE_SOURCES)
    return not live and any(each.get("is_sample") for each in sources)


def find_stale(sources: Sequence[Mapping[str, Any]], interval: timedelta) -> Iterator[str]:
    """Return the sources whose data is older than the target, or that never had a successful run.

    A source that never ran is judged by the data of imports.
    """
    pass_length = _pass_length(sources, interval)
    for source in sources:
        expects = EXPECTATIONS[source["source"]]
        target = expects.target(pass_length)
        has_run = source["last_run"] is not None
        never_succeeded = has_run and source["last_success_at"] is None
        troubles = (
            _troubles(source, expects, target) if has_run else _outdated(source, expects, target)
        )
        if never_succeeded or {each.reason for each in troubles} & {"late", "outdated"}:
            yield source["source"]


def _pass_length(sources: Sequence[Mapping[str, Any]], interval: timedelta) -> timedelta:
    return interval + sum((each["usually_takes"] or timedelta(0) for each in sources), timedelta())


def assess_source(
    source: Mapping[str, Any], expects: Expectations, pass_length: timedelta
) -> dict[str, Any]:
    """Add the status of a source, and its reason and start time if it is not `pass`.

    The reason is that of the first trouble. For example, a source that is down also has old data.
    """
    target = expects.target(pass_length)
    troubles = list(_troubles(source, expects, target))
    first = troubles[0] if troubles else None
    return {
        **source,
        "status": _worst(trouble.status for trouble in troubles),
        "reason": first and first.reason,
        "detail": "; ".join(trouble.detail for trouble in troubles) or None,
        "since": first and first.since,
        "expected": {"freshness_target_seconds": int(target.total_seconds()), **expects.dump()},
    }


def _worst(statuses: Iterator[str]) -> str:
    return max(statuses, key=WORSE.index, default="pass")


def _troubles(
    source: Mapping[str, Any], expects: Expectations, target: timedelta
) -> Iterator[Trouble]:
    """Check the last run, the age of the last successful run, and the age of the data."""
    last, now = source["last_run"], source["now"]
    if last is None:
        detail = "no run has finished yet; imports do not count"
        yield Trouble("warn", "no_run", detail, None)
        return
    good_at, failing_since = source["last_success_at"], source["failing_since"]
    if last["outcome"] != "succeeded":
        was = "failed" if last["outcome"] == "failed" else "was partial"
        lasts = last["outcome"] == "failed" and now - failing_since > target
        status = "fail" if lasts else "warn"
        detail = f"the last run {was}: {last['reason']}"
        yield Trouble(status, last["reason"], detail, failing_since)
    if source.get("shows_sample"):
        detail = "the data is the project's sample of 2021; no provider has been read yet"
        yield Trouble("warn", "sample", detail, None)
    if now - (good_at or failing_since) > target:
        event = (
            f"no run has succeeded since {_time(good_at)}" if good_at else "no run has succeeded"
        )
        yield _overdue("late", event, now, good_at or failing_since, target)
    yield from _outdated(source, expects, target)


def _outdated(
    source: Mapping[str, Any], expects: Expectations, target: timedelta
) -> Iterator[Trouble]:
    observed_at, now = source["observed_at"], source["now"]
    if expects.fresh_for is not None and observed_at and now - observed_at > target:
        event = f"the source's newest data is of {_time(observed_at)}"
        yield _overdue("outdated", event, now, observed_at, target)


def _overdue(reason: str, event: str, now: datetime, since: datetime, target: timedelta) -> Trouble:
    status = "fail" if now - since > LONG_OVERDUE * target else "warn"
    detail = f"{event} (target: {target.total_seconds() / 60:.0f} min)"
    return Trouble(status, reason, detail, since + target)


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
