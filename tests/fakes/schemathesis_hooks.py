"""What an OpenAPI document cannot say of parameters, for schemathesis' valid requests.

Which values go together, and what a cursor is: only the server can make one. Requests that are
wrong on purpose are sent as they are.
"""

import os

import requests
import schemathesis

GIVE_UP = 10
TWO_RUNS_OF_ONE_SOURCE = (1, 2)
LAST_RUN = 9
HISTORY = "/data/{asset}/history"
WINDOW = {"start": "2022-11-20T00:00:00Z", "end": "2022-11-24T00:00:00Z"}
ITS_LISTINGS = {"coingecko": "bitcoin", "coinpaprika": "btc-bitcoin", "csv": "bitcoin"}
"""What each source calls bitcoin."""
A_TIME = "2026-01-31T12:00:00Z"
"""When all the data that there is had been observed."""


@schemathesis.hook
def before_call(_context, case, _options):
    if case.meta is None or not case.meta.generation.mode.is_positive or not case.query:
        return
    query = case.query
    if "sort" in query:
        columns = {name.removeprefix("-"): name for name in query["sort"].split(",")}
        query["sort"] = ",".join(columns.values())
    for name in [name for name in query if name.startswith("min_")]:
        most = name.replace("min_", "max_", 1)
        if most in query and float(query[name]) > float(query[most]):
            query[name], query[most] = query[most], query[name]
    ask_for_the_past(query)
    if case.path == HISTORY:
        query.update({name: at for name, at in WINDOW.items() if name in query})
    if "cursor" in query:
        give_a_cursor(case, query)
    if case.path == "/changes" and "since" in query:
        version = ask(case, page_size=1)["version"]
        query["since"] = min(int(query["since"]), version)
    if case.path == "/runs/compare" and (
        query["a"] == query["b"] or max(int(query["a"]), int(query["b"])) <= LAST_RUN
    ):
        query["a"], query["b"] = TWO_RUNS_OF_ONE_SOURCE


def ask_for_the_past(query):
    """Ask for a time that was, and not for its versions."""
    times = [name for name in ("as_of", "known_at") if name in query]
    query.update(dict.fromkeys(times, A_TIME))
    if times and "sort" in query:
        columns = [name for name in query["sort"].split(",") if not name.endswith("version")]
        query["sort"] = ",".join(columns or ["slug"])
    if times:
        for name in ("min_version", "max_version"):
            query.pop(name, None)


def give_a_cursor(case, query):
    """Put in the cursor that this query's first page ends with, or none where that is the last."""
    query.pop("cursor")
    query.pop("page", None)
    if case.path == HISTORY:
        case.path_parameters["asset"] = "bitcoin"
        if "external_id" in query:
            query["external_id"] = ITS_LISTINGS[query.get("source", "coingecko")]
    first_page = {**query, "format": "json"} if case.path in {"/data", HISTORY} else query
    cursor = ask(case, **first_page)["next_cursor"]
    if cursor is not None:
        query["cursor"] = cursor


def ask(case, **query):
    url = case.as_transport_kwargs()["url"]
    key = os.environ.get("KEY_OF_THE_API")
    headers = {"X-API-Key": key} if key else {}
    answer = requests.get(url, params=query, headers=headers, timeout=GIVE_UP)
    answer.raise_for_status()
    return answer.json()["meta"]
