"""The request budget of a provider by minute and month, counted in Postgres for all processes.

All sources of a provider share its budget; the table has it under the first source (`coingecko`).

A request is counted and committed before it is sent. So failed requests count, and no request is
lost if the process is killed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine

from shared.errors import SourceError
from worker.database.statements import read_statements
from worker.sources.json.api import JsonApi

STATEMENTS = read_statements(__file__, "budget.sql")

MONTH = timedelta(days=30)
"""Length of a month when an interval is compared with a budget."""

MIN_WAIT = 0.001
"""Seconds to wait if another process was just faster."""


class Budget:
    """The rate limiter of one provider on one database (`worker.fetch.limits.RateLimiter`).

    Requests are evenly spaced, without bursts. The budget has its own connection, because a count
    must not wait for the commit of a batch, nor be rolled back with it. Database errors are raised
    as `DBAPIError`, like those of the run.
    """

    def __init__(self, engine: Engine, source: JsonApi) -> None:
        self.pause_message: str | None = None
        self._engine = engine
        self._source = source
        self._connection: Connection | None = None
        self._was_paused = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._connection is not None:
            self._connection.close()

    def acquire(self) -> float:
        """Count a request and return 0, or return the seconds to wait before asking again.

        Raises:
            SourceError: `budget_spent`.
        """
        source = self._source
        row = self._execute(
            "acquire", gap=60 / source.requests_per_minute, budget=source.requests_per_month
        ).one()
        self._was_paused = row.paused_until is not None
        if row.is_acquired:
            return 0
        self.pause_message = row.pause_said if row.is_paused else None
        if row.is_paused and row.pause_reason == "budget_spent":
            raise _reported_spent(source, row.paused_until, row.pause_said)
        if row.used >= source.requests_per_month:
            raise _counted_spent(source, row.used, row.month)
        return max(float(row.wait or 0), MIN_WAIT)

    def pause(self, seconds: float, message: str = "") -> None:
        self._execute("pause", seconds=seconds, message=message)

    def back_off(self, first: float, longest: float, message: str) -> float:
        values: dict[str, float | str] = {"first": first, "longest": longest, "message": message}
        return float(self._execute("back_off", **values).scalar() or 0)

    def reset_backoff(self) -> None:
        if self._was_paused:
            self._execute("reset_backoff")
            self._was_paused = False

    def pause_until_next_month(self, message: str) -> None:
        self._execute("pause_until_next_month", message=message)

    def _execute(self, statement: str, **values: float | str) -> Any:
        if self._connection is None:
            connection = self._engine.connect()
            self._connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        return self._connection.execute(
            STATEMENTS[statement], {"source": self._source.provider, **values}
        )


def _counted_spent(source: JsonApi, used: int, month: date) -> SourceError:
    renews = (month.replace(day=1) + timedelta(days=31)).replace(day=1)
    return SourceError(
        f"{source.name}: {used} of the {source.requests_per_month} requests of {month:%Y-%m} are "
        f"used; no request is sent before {renews}T00:00:00Z; if the plan has more, raise "
        f"{_variable(source)}",
        code="budget_spent",
    )


def _reported_spent(source: JsonApi, until: datetime, message: str) -> SourceError:
    return SourceError(
        f"{source.name}: no request is sent before {until.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}:"
        " the provider reported that the month's requests are used up; to lift the pause, run"
        f" `worker budget reset {source.provider}`; the provider's message: {message}",
        code="budget_spent",
    )


def lift_pause(conn: Connection, provider: str) -> bool:
    """Allow requests at once; return False if none was ever sent to the provider."""
    return bool(conn.execute(STATEMENTS["lift_pause"], {"source": provider}).rowcount)


def _variable(source: JsonApi) -> str:
    return f"{source.provider.upper()}_REQUESTS_PER_MONTH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A provider's use of the month's budget at an instant, and the need of its recent runs.

    `source` is the provider's first source. `requests_a_pass` counts the sources that are read in
    every pass, `requests_a_day` those that are read once a day. `requests_a_second` is the rate
    of the last day; None without requests.
    """

    source: str
    budget: int
    used: int
    instant: datetime
    renews_at: datetime
    last_at: datetime | None
    next_request_at: datetime | None
    requests_a_pass: int
    requests_a_day: int
    requests_a_second: float | None
    paused_until: datetime | None = None
    pause_reason: str | None = None
    pause_said: str | None = None

    @property
    def left(self) -> int:
        return max(self.budget - self.used, 0)

    @property
    def runs_out_at(self) -> datetime | None:
        """The time when the budget is used up at the current rate; None if it lasts the month."""
        if not self.left:
            return self.last_at
        if not self.requests_a_second:
            return None
        seconds = self.left / self.requests_a_second
        if seconds >= (self.renews_at - self.instant).total_seconds():
            return None
        return self.instant + timedelta(seconds=seconds)

    def shortfall(self, interval: float) -> str | None:
        """Compare a pass every `interval` seconds with the budget; None if it is sufficient.

        The text names the intervals that would fit.
        """
        problems = []
        passes, need = self._needed(MONTH, interval)
        if need > self.budget:
            problems.append(
                f"{passes} passes a month at {self.requests_a_pass} requests each"
                f"{self._daily_part()} need {need} requests, the budget is {self.budget}; "
                f"{self._fitting(MONTH, self.budget)} would fit"
            )
        rest = self.renews_at - self.instant
        passes, need = self._needed(rest, interval)
        if need > self.left:
            problems.append(
                f"until {self.renews_at:%Y-%m-%dT%H:%M:%SZ} {passes} passes need {need} requests, "
                f"{self.left} are left; {self._fitting(rest, self.left)} would fit until then"
            )
        return f"{self.source}: {'; '.join(problems)}" if problems else None

    def _needed(self, span: timedelta, interval: float) -> tuple[int, int]:
        passes = math.floor(span.total_seconds() / interval)
        return passes, passes * self.requests_a_pass + math.ceil(self._daily_requests(span))

    def _daily_requests(self, span: timedelta) -> float:
        return self.requests_a_day * (span / timedelta(days=1))

    def _daily_part(self) -> str:
        return f" and {self.requests_a_day} a day" if self.requests_a_day else ""

    def _fitting(self, span: timedelta, requests: int) -> str:
        passes = (requests - self._daily_requests(span)) / max(self.requests_a_pass, 1)
        if passes < 1:
            return "no interval"
        return f"RUN_INTERVAL_SECONDS={math.ceil(span.total_seconds() / passes)}"


def read_usage(conn: Connection, sources: Sequence[JsonApi]) -> list[Usage]:
    """Read the use by provider; the need of a source that never ran is estimated."""
    by_name = {source.name: source for source in sources}
    parameters = {
        "sources": [*by_name],
        "providers": [source.provider for source in sources],
        "budgets": [source.requests_per_month for source in sources],
    }
    rows = conn.execute(STATEMENTS["read_usage"], parameters).all()
    needed = {
        row.source: int(row.requests_a_pass or by_name[row.source].requests_a_pass(row.listings))
        for row in rows
    }
    usages = []
    for provider in dict.fromkeys(row.provider for row in rows):
        own = [row for row in rows if row.provider == provider]
        daily = {row.source for row in own if by_name[row.source].expects.read_every}
        usages.append(
            Usage(
                source=provider,
                budget=own[0].budget,
                used=own[0].used,
                instant=own[0].instant,
                renews_at=own[0].renews_at,
                last_at=own[0].last_at,
                next_request_at=own[0].next_request_at,
                paused_until=own[0].paused_until,
                pause_reason=own[0].pause_reason if own[0].paused_until else None,
                pause_said=own[0].pause_said if own[0].paused_until else None,
                requests_a_pass=sum(needed[row.source] for row in own if row.source not in daily),
                requests_a_day=sum(needed[source] for source in daily),
                requests_a_second=sum(float(row.requests_a_second or 0) for row in own) or None,
            )
        )
    return usages
