"""Structured logs on stderr: JSON for machines, a console form for people."""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

UNSAFE = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What JSON lets stand in a string and a terminal or an editor acts on: it must not break a line,
move the cursor or turn the writing round. The other control characters JSON escapes itself."""

OF_EVERY_RECORD = {*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"}
"""What a record has besides the values that were given with it."""

encoder = msgspec.json.Encoder(enc_hook=repr)


def configure_logs(level: str, log_format: str | None) -> None:
    """Send every log line to stderr in one format, `structlog`'s and the standard library's alike.

    Without a format it is `console` on a terminal, else `json`. A second call replaces the first.
    """
    log_format = log_format or ("console" if sys.stderr.isatty() else "json")
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        tell_of_a_dry_run,
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
    # What no line of ours shows is not looked up for each (the library's HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("alembic").setLevel(logging.WARNING)


class LineFormatter(structlog.stdlib.ProcessorFormatter):
    """Writes the standard library's records as the chain of processors would, at half the cost.

    The access log has a line for each request. Others, and structlog's own, take the usual way.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write a record whose values are all in it; order and names are the chain's."""
        bound = structlog.contextvars.get_contextvars()
        shown_otherwise = record.exc_info or record.stack_info or isinstance(record.msg, dict)
        if shown_otherwise or "dry_run" in bound:
            return super().format(record)
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        given = record.__dict__
        return to_json(
            {
                "event": record.getMessage(),
                **bound,
                "level": record.levelname.lower(),
                "logger": record.name,
                **{name: given[name] for name in given if name not in OF_EVERY_RECORD},
                "timestamp": f"{at.removesuffix('+00:00')}Z",
            }
        )


def to_json(event: Any, **_: Any) -> str:
    """Write one line of JSON that no value in it can break out of, times in ISO 8601."""
    try:
        line = encoder.encode(event).decode()
    except (TypeError, UnicodeEncodeError, OverflowError, msgspec.MsgspecError):
        line = json.dumps(event, default=repr)  # a lone surrogate, or a key that is no string
    if line.isascii() and "\x7f" not in line:
        return line
    return UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def tell_of_a_dry_run(
    _logger: Any, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Say of what is logged with `dry_run` that it is only tried: whoever logs it cannot know."""
    if event.get("dry_run"):
        event["event"] = f"in a dry run, which changes nothing: {event['event']}"
    return event


def escape(
    _logger: Any, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Escape what a terminal acts on. White space in a value is the renderer's to escape."""
    for name, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            kept = "" if name == "event" else "\r\n\t"
            event[name] = "".join(
                each if each.isprintable() or each in kept else repr(each)[1:-1] for each in value
            )
    return event
