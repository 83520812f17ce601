"""Attributes values that Postgres refuses to the parameters of the request."""

import logging
import re

from flask import has_request_context, request
from marshmallow import ValidationError

log = logging.getLogger(__name__)

QUOTED = re.compile('"([^"]+)"')


def find_refused_parameters(reason: str) -> ValidationError | None:
    """Name the parameters whose values Postgres refused, or all if its message names no value.

    None if the request has no parameters: then the value was the program's own.
    """
    parameters = request.args if has_request_context() else {}
    if not parameters:
        return None
    message = reason.strip().splitlines()[0] if reason.strip() else "no reason"
    log.warning("the database refused a value", extra={"reason": message})
    quoted = QUOTED.findall(message)
    refused = [name for name, value in parameters.items() if any(text in value for text in quoted)]
    if refused:
        return ValidationError({name: [f"the database refuses it: {message}"] for name in refused})
    unclear = f"the database refuses a value of one of the parameters: {message}"
    return ValidationError({name: [unclear] for name in parameters})
