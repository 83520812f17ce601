"""Prepared statements: for queries whose planning costs more than their execution."""

import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import psycopg2
from sqlalchemy import Engine, event

OPTION = "kasparro_prepared"
"""The execution option that holds a statement's `Prepared`."""

MAX_STATEMENTS = 32
"""Prepared statements per connection. Each takes about 100 kB of the server's memory."""

SESSION_ERRORS = (
    psycopg2.errors.InvalidSqlStatementName,
    psycopg2.errors.DuplicatePreparedStatement,
)
"""Errors that occur when a pooler in transaction mode changes the session of a connection."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement for PREPARE. Statements with equal names are equal."""

    name: str
    sql: str
    parameters: tuple[str, ...]

    @property
    def execute(self) -> str:
        arguments = ", ".join(f"%({name})s" for name in self.parameters)
        return f"EXECUTE {self.name}({arguments})" if arguments else f"EXECUTE {self.name}"


class Preparer:
    """Prepares the statements of an engine's connections at their second use.

    Event listeners always see the original statement.
    """

    def __init__(self, engine: Engine) -> None:
        self._is_possible = True
        event.listen(engine, "do_execute", self._execute)

    def _execute(self, cursor: Any, _statement: str, parameters: Any, context: Any) -> bool:
        """Execute a prepared statement; return False if SQLAlchemy has to execute the original."""
        prepared: Prepared | None = context.execution_options.get(OPTION)
        if prepared is None or not self._is_possible:
            return False
        used: OrderedDict[str, bool] = context.root_connection.info.setdefault(
            OPTION, OrderedDict()
        )
        is_prepared = used.get(prepared.name)
        used[prepared.name] = is_prepared is not None
        used.move_to_end(prepared.name)
        if is_prepared is None:
            self._evict(cursor, used)
            return False
        try:
            if not is_prepared:
                cursor.execute(f"PREPARE {prepared.name} AS {prepared.sql}")
            cursor.execute(prepared.execute, parameters)
        except SESSION_ERRORS as exc:
            self._is_possible = False
            log.info("statements are not prepared", extra={"reason": str(exc).strip()})
            return False
        return True

    @staticmethod
    def _evict(cursor: Any, used: OrderedDict[str, bool]) -> None:
        while len(used) > MAX_STATEMENTS:
            name, is_prepared = used.popitem(last=False)
            if is_prepared:
                cursor.execute(f"DEALLOCATE {name}")
