"""Which parameters are to blame for a value that Postgres refuses."""

import logging
import re

from flask import has_request_context, request
from marshmallow import ValidationError

log = logging.getLogger(__name__)

QUOTED = re.compile('"([^"]+)"')


def blame_parameters(reason: str) -> ValidationError | None:
    """Name the parameters whose values Postgres refused; all of them where it does not say.

    None where the request has none, so that the values were this program's own.
    """
    given = request.args if has_request_context() else {}
    if not given:
        return None
    said = reason.strip().splitlines()[0] if reason.strip() else "no reason"
    log.warning("the database refused a value", extra={"reason": said})
    quoted = QUOTED.findall(said)
    named = [name for name, value in given.items() if any(text in value for text in quoted)]
    if named:
        return ValidationError({name: [f"the database refuses it: {said}"] for name in named})
    unsure = f"the database refuses a value of one of the parameters: {said}"
    return ValidationError({name: [unsure] for name in given})
