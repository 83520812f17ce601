"""How the commands print values on one line or in a table."""

from datetime import UTC, datetime

import pytest

from worker.cli.output import format_cell


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02 03:04:05Z"),
        ({"page": 2, "name": None}, '{"page":2,"name":null}'),
        (["a", "b"], "a; b"),
        (b"\x01\xff", "01ff"),
        (7, "7"),
    ],
)
def test_a_value_is_printed_alike_everywhere(value: object, shown: str):
    assert format_cell(value) == shown
