"""Cases of which `make test` tries some, and `make test-slow` all."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings


def sparse(cases: Iterable[Any], every: int) -> list[Any]:
    """Parametrize with all cases: the first of each `every` is in `make test`, the others are slow.

    A tuple has the values of several parameters.
    """
    return [
        case if number % every == 0 else pytest.param(*_values(case), marks=pytest.mark.slow)
        for number, case in enumerate(cases)
    ]


def _values(case: Any) -> tuple[Any, ...]:
    return case if isinstance(case, tuple) else (case,)


def some_of(cases: Iterable[Any], every: int) -> list[Any]:
    """Choose the first of each `every` cases, or all under the profiles of `make test-slow`.

    For a test that goes through them by itself; it is marked `property`.
    """
    is_default = settings.get_current_profile_name() == "default"
    return [*cases][:: every if is_default else 1]
