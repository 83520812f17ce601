"""Links between operations: to the next page, and from an asset to its raw records and history."""

from typing import Any


def add_links(paths: dict[str, Any]) -> None:
    """Link every page to the next one, and an asset to its raw records and its history."""
    of_one_asset = {"asset": "$request.path.asset"}
    paths["/data/{asset}"]["get"]["responses"]["200"]["links"] = {
        "Raw": {
            "operationId": paths["/data/{asset}/raw"]["get"]["operationId"],
            "parameters": of_one_asset,
            "description": "The raw records behind its values, as stored",
        },
        "History": {
            "operationId": paths["/data/{asset}/history"]["get"]["operationId"],
            "parameters": of_one_asset,
            "description": "Its observations",
        },
    }
    for operations in paths.values():
        operation = operations["get"]
        if any(parameter.get("name") == "cursor" for parameter in operation["parameters"]):
            operation["responses"]["200"]["links"] = {
                "NextPage": {
                    "operationId": operation["operationId"],
                    "parameters": {"cursor": "$response.body#/meta/next_cursor"},
                    "description": "The next page, with the same parameters; none after the last",
                }
            }
