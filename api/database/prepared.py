"""Statements that Postgres plans once in a connection, where planning costs more than running."""

import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import psycopg2
from sqlalchemy import Engine, event

OPTION = "kasparro_prepared"
"""The execution option of a statement that has its `Prepared`."""

MOST = 32
"""How many statements a connection keeps prepared: each takes some 100 kB of the server."""

NOT_HERE = (
    psycopg2.errors.InvalidSqlStatementName,
    psycopg2.errors.DuplicatePreparedStatement,
)
"""What Postgres says where one connection is not one session: behind a pooler of transactions."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement as PREPARE takes it; equal names mean equal statements."""

    name: str
    sql: str
    parameters: tuple[str, ...]

    @property
    def execute(self) -> str:
        given = ", ".join(f"%({name})s" for name in self.parameters)
        return f"EXECUTE {self.name}({given})" if given else f"EXECUTE {self.name}"


class Preparer:
    """Prepares the statements of an engine's connections, each from its second use on.

    A listener sees the statements as they are written, prepared or not.
    """

    def __init__(self, engine: Engine) -> None:
        self._is_possible = True
        event.listen(engine, "do_execute", self._execute)

    def _execute(self, cursor: Any, _statement: str, parameters: Any, context: Any) -> bool:
        """Run a prepared statement; return False for one that is to be run as it is."""
        prepared: Prepared | None = context.execution_options.get(OPTION)
        if prepared is None or not self._is_possible:
            return False
        used: OrderedDict[str, bool] = context.root_connection.info.setdefault(
            OPTION, OrderedDict()
        )
        is_there = used.get(prepared.name)
        used[prepared.name] = is_there is not None
        used.move_to_end(prepared.name)
        if is_there is None:
            self._forget(cursor, used)
            return False
        try:
            if not is_there:
                cursor.execute(f"PREPARE {prepared.name} AS {prepared.sql}")
            cursor.execute(prepared.execute, parameters)
        except NOT_HERE as exc:
            self._is_possible = False
            log.info("statements are not prepared", extra={"reason": str(exc).strip()})
            return False
        return True

    @staticmethod
    def _forget(cursor: Any, used: OrderedDict[str, bool]) -> None:
        while len(used) > MOST:
            name, is_there = used.popitem(last=False)
            if is_there:
                cursor.execute(f"DEALLOCATE {name}")
