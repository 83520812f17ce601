"""How much Postgres reads for a request: counted, not timed."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import Engine, event


def read_by(
    engine: Engine, client: FlaskClient, path: str, query: Mapping[str, Any]
) -> tuple[int, int]:
    """Return how many rows are read from tables, and how many pages of tables and indexes."""
    ran: list[tuple[str, Any]] = []

    def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        ran.append((statement, parameters))

    own = client.application.extensions["database"].engine
    event.listen(own, "before_cursor_execute", note)
    assert client.get(path, query_string=query).status_code == 200
    event.remove(own, "before_cursor_execute", note)
    rows = blocks = 0
    with engine.connect() as conn:
        for statement, parameters in ran:
            if "asset" not in statement and "observations" not in statement:
                continue
            explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
            [(plan,)] = conn.exec_driver_sql(explain, parameters)
            [top] = json.loads(plan) if isinstance(plan, str) else plan
            blocks += top["Plan"]["Shared Hit Blocks"] + top["Plan"]["Shared Read Blocks"]
            rows += sum(_scanned(top["Plan"]))
    return rows, blocks


def _scanned(node: Mapping[str, Any]) -> Iterator[int]:
    """Give the rows that each scan read, those that it threw away too."""
    if "Relation Name" in node:
        dropped = sum(value for name, value in node.items() if name.startswith("Rows Removed"))
        yield (node["Actual Rows"] + dropped) * node["Actual Loops"]
    for child in node.get("Plans", ()):
        yield from _scanned(child)
