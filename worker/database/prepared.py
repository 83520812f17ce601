"""Prepared statements: the queries of a batch are parsed and planned once, not for each batch.

psycopg2 sends each query as text, and Postgres plans it each time. For the long queries of a batch,
planning takes longer than loading a few records. A `reusable` query is sent as PREPARE the first
time, and afterwards as EXECUTE. Importing this module enables this for every engine of the process.
"""

import re
from itertools import count
from typing import Any

from sqlalchemy import Connection, Engine, TextClause, event

_PARAMETER = re.compile(r"%\((\w+)\)s")
_numbers = count(1)


class _Prepared:
    """A query prepared in a session: its name there, and the number of its executions."""

    def __init__(self, query: str) -> None:
        names = list(dict.fromkeys(_PARAMETER.findall(query)))
        places = {name: f"${place}" for place, name in enumerate(names, 1)}
        self.name = f"kasparro_{next(_numbers)}"
        self.uses = 0
        self._query = _PARAMETER.sub(lambda found: places[found[1]], query)
        self._arguments = f"({', '.join(f'%({name})s' for name in names)})" if names else ""

    def call(self) -> str:
        """Return the statement that executes the query, and prepares it if necessary.

        It is prepared again after 1, 2, 4, 8, … executions: a plan can depend on the size of
        tables, which a run on an empty database fills.
        """
        execute = f"EXECUTE {self.name}{self._arguments}"
        if self.uses & (self.uses - 1):
            return execute
        deallocate = f"DEALLOCATE {self.name};\n" if self.uses else ""
        return f"{deallocate}PREPARE {self.name} AS {self._query}\n;\n{execute}"


def reusable(stmt: TextClause) -> TextClause:
    """Mark a single query whose plan is good for all values of its parameters."""
    return stmt.execution_options(prepared=True)


@event.listens_for(Engine, "before_cursor_execute", retval=True)
def _execute_prepared(
    conn: Connection, _cursor: Any, statement: str, parameters: Any, context: Any, _many: bool
) -> tuple[str, Any]:
    if context is None or not context.execution_options.get("prepared"):
        return statement, parameters
    queries: dict[str, _Prepared] = conn.info.setdefault("prepared", {})
    # Stored again after success only: after a failure it is unknown whether it is prepared.
    context.prepared = queries.pop(statement, None) or _Prepared(statement)
    context.prepared_query = statement
    return context.prepared.call(), parameters


@event.listens_for(Engine, "after_cursor_execute")
def _store_prepared(
    conn: Connection, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool
) -> None:
    prepared = getattr(context, "prepared", None)
    if prepared is not None:
        prepared.uses += 1
        conn.info["prepared"][context.prepared_query] = prepared
