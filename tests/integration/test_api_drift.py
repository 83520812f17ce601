"""`/drift`: how the sources' shapes differ from what was known."""

import pytest

from api.schemas.operations.drift import KINDS
from tests.fakes.api import NOON, add_drift
from tests.fakes.document import check_answer
from worker.drift import differences


def paths(response):
    return [each["path"] for each in response.json["data"]]


def test_a_difference_is_shown_with_its_detail_and_example(client, engine):
    with engine.begin() as conn:
        made = add_drift(conn, "<b>quotes</b>.EUR")

    response = client.get("/drift")
    check_answer(client.get("/openapi.json").json, "/drift", response)
    assert response.json["data"] == [
        {
            "id": made,
            "source": "coingecko",
            "kind": "appeared",
            "path": "<b>quotes</b>.EUR",
            "detail": {"type": "number"},
            "share": 0.25,
            "example": {"position": "page 1", "exact": 1},
            "records": 10,
            "first_seen_at": "2026-01-31T12:00:00.000000Z",
            "last_seen_at": "2026-01-31T12:00:00.000000Z",
            "first_run_id": 1,
            "last_run_id": 2,
            "acknowledged_at": None,
        }
    ]


def test_every_kind_that_the_worker_finds_is_documented():
    kinds = {
        value
        for name, value in vars(differences).items()
        if name.isupper() and isinstance(value, str) and not name.startswith("_")
    }
    assert set(KINDS) <= kinds


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", ["c", "b"]),
        ("state=acknowledged", ["a"]),
        ("state=all", ["c", "b", "a"]),
        ("source=csv,coinpaprika", ["c"]),
        ("page_size=1", ["c"]),
    ],
)
def test_differences_are_found_by_state_and_source(client, engine, query, wanted):
    with engine.begin() as conn:
        add_drift(conn, "a", acknowledged_at=NOON)
        add_drift(conn, "b")
        add_drift(conn, "c", "csv")

    assert paths(client.get(f"/drift?{query}")) == wanted


def test_differences_are_paged_newest_first(client, engine):
    with engine.begin() as conn:
        for path in "abcde":
            add_drift(conn, path)

    first = client.get("/drift?page_size=3")
    second = client.get(f"/drift?page_size=3&cursor={first.json['meta']['next_cursor']}")

    assert paths(first) + paths(second) == list("edcba")
    assert second.json["meta"]["next_cursor"] is None
    assert first.json["meta"]["total"] == 5


def test_stats_count_what_nobody_acknowledged(client, engine):
    with engine.begin() as conn:
        add_drift(conn, "a", acknowledged_at=NOON)
        add_drift(conn, "b")

    told = client.get("/stats").json["data"]

    assert {each["source"]: each["open_drift"] for each in told["sources"]}["coingecko"] == 1
    assert told["totals"]["open_drift"] == 1
