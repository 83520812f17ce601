"""Where an answer leads on to: from a page to the next one."""

from typing import Any


def add_links(paths: dict[str, Any]) -> None:
    """Link every page to the next one."""
    for operations in paths.values():
        operation = operations["get"]
        if any(parameter.get("name") == "cursor" for parameter in operation["parameters"]):
            operation["responses"]["200"]["links"] = {
                "NextPage": {
                    "operationId": operation["operationId"],
                    "parameters": {"cursor": "$response.body#/meta/next_cursor"},
                    "description": "With the same parameters; there is none after the last page",
                }
            }
