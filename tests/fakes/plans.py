"""How much Postgres reads for a request: counted, not timed."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import Connection, Engine, event

from api.database.prepared import OPTION, Prepared


def read_by(
    engine: Engine, client: FlaskClient, path: str, query: Mapping[str, Any]
) -> tuple[int, int]:
    """Return how much is read of assets and observations, by all statements of a request."""
    read = read_by_statement(engine, client, path, query, ("asset", "observations"))
    return sum(rows for rows, _ in read.values()), sum(pages for _, pages in read.values())


def read_by_statement(
    engine: Engine,
    client: FlaskClient,
    path: str,
    query: Mapping[str, Any],
    of: Collection[str],
) -> dict[str, tuple[int, int]]:
    """Return how many rows are read from tables, and how many pages of tables and indexes.

    By each statement that has one of these words in it.
    """
    ran: list[tuple[str, Any, Prepared | None]] = []

    def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, context: Any, _: Any):
        ran.append((statement, parameters, context.execution_options.get(OPTION)))

    own = client.application.extensions["database"].engine
    event.listen(own, "before_cursor_execute", note)
    assert client.get(path, query_string=query or None).status_code == 200
    event.remove(own, "before_cursor_execute", note)
    read: Counter[tuple[str, str]] = Counter()
    with engine.connect() as conn:
        conn.detach()  # `explain` drops what the session has prepared
        for statement, parameters, prepared in ran:
            if not any(word in statement for word in of):
                continue
            [top] = explain(conn, statement, parameters, prepared)
            plan = top["Plan"]
            read[statement, "pages"] += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
            read[statement, "rows"] += sum(_scanned(plan))
    return {each: (read[each, "rows"], read[each, "pages"]) for each, _ in read}


def explain(conn: Connection, statement: str, parameters: Any, prepared: Prepared | None) -> Any:
    """Run a statement as the API does where it asks for it often, and return what was read."""
    if prepared is not None:
        conn.exec_driver_sql("SET plan_cache_mode = force_generic_plan")
        conn.exec_driver_sql("DEALLOCATE ALL")
        conn.exec_driver_sql(f"PREPARE {prepared.name} AS {prepared.sql}".replace("%", "%%"))
        statement = prepared.execute
    [(plan,)] = conn.exec_driver_sql(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters
    )
    return json.loads(plan) if isinstance(plan, str) else plan


def _scanned(node: Mapping[str, Any]) -> Iterator[int]:
    """Give the rows that each scan read, those that it threw away too."""
    if "Relation Name" in node:
        dropped = sum(value for name, value in node.items() if name.startswith("Rows Removed"))
        yield (node["Actual Rows"] + dropped) * node["Actual Loops"]
    for child in node.get("Plans", ()):
        yield from _scanned(child)
