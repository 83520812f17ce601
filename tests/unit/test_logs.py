import json
import logging
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import structlog

from api.app import create_app
from shared.logs import configure_logs
from shared.settings import Settings


@pytest.fixture
def lines(capsys):
    """Log as JSON to the captured stderr; return its lines."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def read():
        return capsys.readouterr().err.split("\n")[:-1]

    yield read
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


HOSTILE = {
    "a line": 'x\n{"event": "forged"}\r\n',
    "a terminal's sequence": "\x1b[2J\x9b2J\x07",
    "other ends of a line": "a\u2028b\u2029c\x85d",
    "writing turned round": "\u202egnp.exe\u2066",
    "nothing": "\x00",
    "a lone surrogate": "\ud800",
    "quotes": "\"'\\",
    "letters": "Zürich 東京 🙂",
}


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_no_value_breaks_out_of_its_line(lines, log_format, value):
    configure_logs("INFO", log_format)

    logging.getLogger("api.request.access").info(
        "request", extra={"path": value, "user_agent": value}
    )

    [line] = lines()
    assert line.isprintable()
    if log_format == "json":
        assert json.loads(line)["path"] == value
        assert "forged" in value or "forged" not in line


def test_a_line_is_the_same_from_either_library_and_carries_the_context(lines):
    configure_logs("INFO", "json")
    structlog.contextvars.bind_contextvars(trace_id="abc")

    logging.getLogger("a").info("event", extra={"number": 1, "nothing": None})
    structlog.get_logger("a").info("event", number=1, nothing=None)

    one, other = (json.loads(line) for line in lines())
    assert one.pop("timestamp").endswith("Z")
    assert other.pop("timestamp").endswith("Z")
    expected = {"event": "event", "level": "info", "logger": "a", "trace_id": "abc"}
    assert one == other == {**expected, "number": 1, "nothing": None}


def test_events_of_a_dry_run_are_marked_in_both_libraries(lines):
    configure_logs("INFO", "json")

    with structlog.contextvars.bound_contextvars(dry_run=True):
        logging.getLogger("a").info("it is done")
        structlog.get_logger("a").info("it is done")
    structlog.get_logger("a").info("it is done")

    one, other, after = (json.loads(line) for line in lines())
    assert one["event"] == other["event"] == "dry run, nothing changes: it is done"
    assert after["event"] == "it is done"


def test_values_without_a_json_type_are_logged_too(lines):
    configure_logs("INFO", "json")

    values = {
        "at": datetime(2026, 1, 31, 12, tzinfo=UTC),
        "price": Decimal("1.10"),
        "huge": 2**80,
        "odd": {1: object},
        "share": float("nan"),
        "error": ValueError("x"),
    }
    logging.getLogger("a").info("event", extra=values)

    [line] = lines()
    said = json.loads(line, parse_constant=pytest.fail)
    assert said["at"] == "2026-01-31T12:00:00Z"
    assert said["price"] == "1.10"
    assert said["error"] == "ValueError('x')"


def test_a_traceback_is_in_one_line(lines):
    configure_logs("INFO", "json")
    try:
        int("x\ny")
    except ValueError:
        logging.getLogger("a").exception("broke")

    [line] = lines()
    assert "ValueError: invalid literal" in json.loads(line)["exception"]


def test_a_request_leaves_its_ids_to_none_of_the_lines_after_it():
    app = create_app(Settings.from_env({"API_DATABASE_URL": "postgresql://nobody@localhost/none"}))
    try:
        assert app.test_client().get("/health/live").status_code == 200
        assert structlog.contextvars.get_contextvars() == {}
    finally:
        app.extensions["database"].close()
