"""How many requests a provider takes, a minute and a month: counted in Postgres, for all processes.

All feeds of one provider share them; the table names it by its first feed (`coingecko`).

A request is counted, and committed, before it is sent: so a failed one counts, and no kill can
forget one.
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
from worker.sources.json_api import JsonApi

STATEMENTS = read_statements(__file__, "budget.sql")

MONTH = timedelta(days=30)
"""The month that an interval is measured by."""

SOON = 0.001
"""Seconds to wait for a turn that another process had a moment ago."""


class Budget:
    """The turns of one provider on one database; `worker.fetch.client.Turns` is what it promises.

    Evenly spaced, without a burst after a rest. The connection is its own, for a turn must not
    wait for a batch to commit, nor go back with it. What the database says against it comes as the
    `DBAPIError` that the run's own statements raise too.
    """

    def __init__(self, engine: Engine, source: JsonApi) -> None:
        self.said: str | None = None
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

    def take(self) -> float:
        """Take a turn and return 0, or take none and return the seconds until there may be one.

        Raises:
            SourceError: `budget_spent`.
        """
        source = self._source
        turn = self._execute(
            "take_turn", gap=60 / source.requests_per_minute, budget=source.requests_per_month
        ).one()
        self._was_paused = turn.paused_until is not None
        if turn.is_taken:
            return 0
        self.said = turn.pause_said if turn.is_paused else None
        if turn.is_paused and turn.pause_reason == "budget_spent":
            raise _spent_there(source, turn.paused_until, turn.pause_said)
        if turn.used >= source.requests_per_month:
            raise _spent(source, turn.used, turn.month)
        return max(float(turn.wait or 0), SOON)

    def defer(self, seconds: float, said: str = "") -> None:
        """Have no process ask for so long."""
        self._execute("defer", seconds=seconds, said=said)

    def back_off(self, first: float, longest: float, said: str) -> float:
        """Have no process ask for a while, which doubles until an answer is no 429."""
        values: dict[str, float | str] = {"first": first, "longest": longest, "said": said}
        return float(self._execute("back_off", **values).scalar() or 0)

    def answered(self) -> None:
        """Take note of an answer that is no 429."""
        if self._was_paused:
            self._execute("forget_pause")
            self._was_paused = False

    def spend(self, said: str) -> None:
        """Have no process ask before the next month."""
        self._execute("spend", said=said)

    def _execute(self, statement: str, **values: float | str) -> Any:
        if self._connection is None:
            connection = self._engine.connect()
            self._connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        return self._connection.execute(
            STATEMENTS[statement], {"source": self._source.provider, **values}
        )


def _spent(source: JsonApi, used: int, month: date) -> SourceError:
    renews = (month.replace(day=1) + timedelta(days=31)).replace(day=1)
    return SourceError(
        f"{source.name}: {used} of the {source.requests_per_month} requests of {month:%Y-%m} are "
        f"used, so it is not asked before {renews}T00:00:00Z; if the plan has more, raise "
        f"{_variable(source)}",
        code="budget_spent",
    )


def _spent_there(source: JsonApi, until: datetime, said: str) -> SourceError:
    return SourceError(
        f"{source.name}: not asked before {until.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}, for the"
        f" provider said that the requests of the month are used; lift the pause with `worker"
        f" budget reset {source.provider}`; it said: {said}",
        code="budget_spent",
    )


def lift_pause(conn: Connection, provider: str) -> bool:
    """Let a provider be asked at once; say whether it was ever asked."""
    return bool(conn.execute(STATEMENTS["lift"], {"source": provider}).rowcount)


def _variable(source: JsonApi) -> str:
    return f"{source.provider.upper()}_REQUESTS_PER_MONTH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a provider used of the month's budget by an instant, and what its recent runs need.

    `source` is its feed that has every turn, and `requests_a_pass` what one turn of that needs;
    `requests_a_day` are for its feeds that are read once a day. `requests_a_second` is over the
    last day; None where nothing was asked.
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
        """When the budget is used up at the present pace, or was; None where it lasts the month."""
        if not self.left:
            return self.last_at
        if not self.requests_a_second:
            return None
        seconds = self.left / self.requests_a_second
        if seconds >= (self.renews_at - self.instant).total_seconds():
            return None
        return self.instant + timedelta(seconds=seconds)

    def shortfall(self, interval: float) -> str | None:
        """Say why a pass every `interval` seconds is more than the budget, and what is not."""
        said = []
        passes, need = self._needed(MONTH, interval)
        if need > self.budget:
            said.append(
                f"{passes} passes a month at {self.requests_a_pass} requests each{self._daily()} "
                f"need {need} requests, the budget is {self.budget}; "
                f"{self._fitting(MONTH, self.budget)} would fit"
            )
        rest = self.renews_at - self.instant
        passes, need = self._needed(rest, interval)
        if need > self.left:
            said.append(
                f"until {self.renews_at:%Y-%m-%dT%H:%M:%SZ} {passes} passes need {need} requests, "
                f"{self.left} are left; {self._fitting(rest, self.left)} would fit until then"
            )
        return f"{self.source}: {'; '.join(said)}" if said else None

    def _needed(self, span: timedelta, interval: float) -> tuple[int, int]:
        passes = math.floor(span.total_seconds() / interval)
        return passes, passes * self.requests_a_pass + math.ceil(self._seldom(span))

    def _seldom(self, span: timedelta) -> float:
        return self.requests_a_day * (span / timedelta(days=1))

    def _daily(self) -> str:
        return f" and {self.requests_a_day} a day" if self.requests_a_day else ""

    def _fitting(self, span: timedelta, requests: int) -> str:
        passes = (requests - self._seldom(span)) / max(self.requests_a_pass, 1)
        if passes < 1:
            return "no interval"
        return f"RUN_INTERVAL_SECONDS={math.ceil(span.total_seconds() / passes)}"


def read_usage(conn: Connection, sources: Sequence[JsonApi]) -> list[Usage]:
    """Read what each provider of these sources used; a feed that never ran estimates its need."""
    by_name = {source.name: source for source in sources}
    asked = {
        "sources": [*by_name],
        "providers": [source.provider for source in sources],
        "budgets": [source.requests_per_month for source in sources],
    }
    rows = conn.execute(STATEMENTS["read_usage"], asked).all()
    needed = {
        row.source: int(row.requests_a_pass or by_name[row.source].requests_a_pass(row.listings))
        for row in rows
    }
    used = []
    for provider in dict.fromkeys(row.provider for row in rows):
        own = [row for row in rows if row.provider == provider]
        seldom = {row.source for row in own if by_name[row.source].expects.read_every}
        used.append(
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
                requests_a_pass=sum(needed[row.source] for row in own if row.source not in seldom),
                requests_a_day=sum(needed[source] for source in seldom),
                requests_a_second=sum(float(row.requests_a_second or 0) for row in own) or None,
            )
        )
    return used
