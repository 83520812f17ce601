"""Reviews: pairs of listings that a person should decide, and the commands that decide them."""

import shlex
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

NEAR = timedelta(hours=1)
"""Newest prices and market caps are compared when observed no further apart than this."""

DIFFER_BEYOND = 2
"""A price twice another's is another coin's, or wrong."""

WITH_REASON = "--reason …"


def commands_of(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, str]:
    """Write the commands that decide on two listings, each with `source`, `external_id`, `asset`.

    They say that both are one coin, or two. `…` stands for the reason.
    """
    mine, its = (
        [shlex.quote(each["source"]), shlex.quote(each["external_id"])] for each in (one, other)
    )
    return {
        "one_coin": _command("link", [*mine, other["asset"]], WITH_REASON),
        "two_coins": _command("split", mine, f"--from {' '.join(its)} {WITH_REASON}"),
    }


def _command(name: str, arguments: Sequence[str], options: str) -> str:
    """Write a command with quoted arguments; one that begins with a hyphen must follow `--`."""
    written = " ".join(arguments)
    if any(argument.startswith("-") for argument in arguments):
        return f"worker identity {name} {options} -- {written}"
    return f"worker identity {name} {written} {options}"


def undo_command(correction_id: int) -> str:
    """Write the command that revokes a decision."""
    return f"worker identity undo {correction_id} {WITH_REASON}"
