"""Structured logs on stderr, as JSON or in a readable console format."""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

UNSAFE = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that JSON does not escape but terminals or editors interpret: they break lines, move
the cursor or change the direction of text."""

STANDARD_ATTRIBUTES = {*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"}
"""Attributes of every log record; all others were passed as `extra`."""

encoder = msgspec.json.Encoder(enc_hook=repr)


def configure_logs(level: str, log_format: str | None) -> None:
    """Send the log lines of `structlog` and of the standard library to stderr in one format.

    The default format is `console` on a terminal, else `json`. A second call replaces the first.
    """
    log_format = log_format or ("console" if sys.stderr.isatty() else "json")
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        mark_dry_run,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderers: list[structlog.typing.Processor]
    if log_format == "json":
        renderers = [structlog.processors.JSONRenderer(serializer=to_json)]
    else:
        renderers = [escape, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    formatter = LineFormatter if log_format == "json" else structlog.stdlib.ProcessorFormatter
    handler.setFormatter(
        formatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    # No format uses these values, so they are not collected (logging HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("alembic").setLevel(logging.WARNING)


class LineFormatter(structlog.stdlib.ProcessorFormatter):
    """Formats simple records of the standard library like the processors do, at half the cost.

    This matters for the access log, which has a line for each request. All other records go
    through the processors.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Format a record; the order and names of the fields are those of the processors."""
        bound = structlog.contextvars.get_contextvars()
        needs_processors = record.exc_info or record.stack_info or isinstance(record.msg, dict)
        if needs_processors or "dry_run" in bound:
            return super().format(record)
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        attributes = record.__dict__
        return to_json(
            {
                "event": record.getMessage(),
                **bound,
                "level": record.levelname.lower(),
                "logger": record.name,
                **{
                    name: value
                    for name, value in attributes.items()
                    if name not in STANDARD_ATTRIBUTES
                },
                "timestamp": f"{at.removesuffix('+00:00')}Z",
            }
        )


def to_json(event: Any, **_: Any) -> str:
    """Encode an event as one line of JSON that is safe to print; times are in ISO 8601."""
    try:
        line = encoder.encode(event).decode()
    except (TypeError, UnicodeEncodeError, OverflowError, msgspec.MsgspecError):
        line = json.dumps(event, default=repr)  # a lone surrogate, or a key that is not a string
    if line.isascii() and "\x7f" not in line:
        return line
    return UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def mark_dry_run(
    _logger: Any, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Prefix events of a dry run; the code that logs them does not know that it is one."""
    if event.get("dry_run"):
        event["event"] = f"dry run, nothing changes: {event['event']}"
    return event


def escape(
    _logger: Any, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Escape characters that a terminal interprets; the renderer escapes white space in values."""
    for name, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            allowed = "" if name == "event" else "\r\n\t"
            event[name] = "".join(
                char if char.isprintable() or char in allowed else repr(char)[1:-1]
                for char in value
            )
    return event
