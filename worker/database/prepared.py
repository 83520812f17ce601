"""Prepared statements: a batch's queries are parsed and planned once, and not for each batch.

psycopg2 sends each query as text, and Postgres plans it anew: for the long ones of a batch that
takes longer than to load a few records. A query that is `reusable` is sent as PREPARE the first
time, and as EXECUTE from then on. Every engine does so in a process that imports this.
"""

import re
from itertools import count
from typing import Any

from sqlalchemy import Connection, Engine, TextClause, event

_PARAMETER = re.compile(r"%\((\w+)\)s")
_numbers = count(1)


class _Prepared:
    """What a session knows a query as, and how often it was executed."""

    def __init__(self, query: str) -> None:
        names = list(dict.fromkeys(_PARAMETER.findall(query)))
        places = {name: f"${place}" for place, name in enumerate(names, 1)}
        self.name = f"kasparro_{next(_numbers)}"
        self.uses = 0
        self._query = _PARAMETER.sub(lambda found: places[found[1]], query)
        self._arguments = f"({', '.join(f'%({name})s' for name in names)})" if names else ""

    def call(self) -> str:
        """Write what executes it, and where the time has come, what has it planned anew.

        That is after 1, 2, 4, 8 and so on executions: a plan may rest on how large tables are, and
        a run on an empty database fills them.
        """
        execute = f"EXECUTE {self.name}{self._arguments}"
        if self.uses & (self.uses - 1):
            return execute
        forget = f"DEALLOCATE {self.name};\n" if self.uses else ""
        return f"{forget}PREPARE {self.name} AS {self._query}\n;\n{execute}"


def reusable(stmt: TextClause) -> TextClause:
    """Mark a single query whose plan may serve any values of its parameters."""
    return stmt.execution_options(prepared=True)


@event.listens_for(Engine, "before_cursor_execute", retval=True)
def _execute_prepared(
    conn: Connection, _cursor: Any, statement: str, parameters: Any, context: Any, _many: bool
) -> tuple[str, Any]:
    if context is None or not context.execution_options.get("prepared"):
        return statement, parameters
    known: dict[str, _Prepared] = conn.info.setdefault("prepared", {})
    # Out of the session's memory until it has succeeded: who knows how far one that failed came?
    context.prepared = known.pop(statement, None) or _Prepared(statement)
    context.prepared_query = statement
    return context.prepared.call(), parameters


@event.listens_for(Engine, "after_cursor_execute")
def _remember(
    conn: Connection, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool
) -> None:
    prepared = getattr(context, "prepared", None)
    if prepared is not None:
        prepared.uses += 1
        conn.info["prepared"][context.prepared_query] = prepared
